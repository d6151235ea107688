// seq/play.h -- one case, played against one broker.
#pragma once

#include <string>

#include "seq/backend.h"
#include "seq/script.h"

namespace seq {
// Each case is played in up to four ways; the same bytes must come back.
struct Variant {
    bool web = false;   // WebSocket instead of plain TCP
    bool cut = false;   // every byte by itself
};
const char *variant_text(const Variant &);

// Empty: passed. Else "file:line: what is wrong", several lines.
std::string play(const Case &, const Variant &, Backend *);

} // namespace seq
