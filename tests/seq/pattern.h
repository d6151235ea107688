// seq/pattern.h -- bytes to send, or bytes to compare with.
//
// A Pattern is what one message of the notation means (README.md here): literal
// bytes, with gaps where the broker is free to choose.
#pragma once

#include <stdint.h>

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace seq {
// What is wrong with a line of a .seq file.
struct NotationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Element {
    enum Kind {
        Literal, // `bytes`
        Any,     // `size` bytes, whatever they are
        Range,   // a number of `size` bytes from `low` to `high`
        Keep,    // `size` bytes, remembered as `name`
        Kept,    // the bytes remembered as `name`
        Length,  // a remaining length that depends on what follows
        Rest,    // whatever is left
    } kind = Literal;
    std::string bytes, name;
    size_t size = 0;
    uint64_t low = 0, high = 0;
};
using Pattern = std::vector<Element>;
using Kept = std::map<std::string, std::string>;

// What the parser knows while it goes through a case.
struct NotationState {
    int version = 5;                       // of the packets to come: 3, 4 or 5
    std::string id;                        // the client id that connect uses
    std::map<std::string, size_t> sizes;   // of what was remembered
};

// One or more messages joined by " + ": `publish t "x" + pingreq`.
Pattern parse_message(std::string_view text, NotationState *);

// Cuts at blanks that stand outside of quotes and braces.
std::vector<std::string> split_words(std::string_view line);
// A "quoted text" with its escapes, or the word as it stands.
std::string unquote(std::string_view word);

// Throws NotationError if the pattern has gaps.
std::string pattern_bytes(const Pattern &, const Kept &);
bool pattern_matches(const Pattern &, std::string_view bytes, Kept *);
// Bytes that it matches; 0 if that is not fixed.
size_t pattern_size(const Pattern &);
std::string pattern_text(const Pattern &);

} // namespace seq
