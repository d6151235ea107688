// broker/retained.h -- the last retained message of each topic.
//
//     by_topic:  hash(topic) -> handle      a flat hash map: set, get, remove
//     entries:   handle -> Message *        stable while the topic is there
//     in_order:  handles, sorted by topic   `a/b/#`, `a/+`: one range
//     by_word:   (level, text) -> handles   `+/x/#`, `a/+/x`: what has `x` there
//
// A filter with wildcards walks the shortest that will do of: the topics that
// begin with its literal levels (skipping what cannot match), and, for each
// literal level of its own, the topics that have this text at this level. So a
// subscription's cost follows what it matches and not all that is retained.
//
// A cursor may rest between any two messages while topics come and go: it
// remembers a place in an order and not an object, so nothing is kept alive for
// it. Every message that is there for all of a cursor's life and matches is
// found exactly once, parents before children.
//
// Memory beside the message: about 52 bytes for a topic of three levels, nine
// more for each further one (up to RETAINED_WORDS).
#pragma once

#include "base/hash.h"
#include "broker/message.h"

// Levels from the second on that by_word knows of. Those of deeper ones are
// found through others, or by walking.
constexpr uint32_t RETAINED_WORDS = 11;

struct Retained;

Retained *retained_create(const HashKey &, MessageStats *);
// Releases all messages. Cursors must have ended.
void retained_free(Retained *);

// Stores `m` as its topic's message (a reference is taken), in place of what
// was there. Costs one look-up then; for a new topic O(levels * log n).
void retained_set(Retained *, Message *m);
// False if there was none.
bool retained_remove(Retained *, Bytes topic);
// Null if there is none. Expired ones are still found: the caller decides.
Message *retained_get(Retained *, Bytes topic);
uint64_t retained_count(const Retained *);
uint64_t retained_bytes(const Retained *); // payloads

struct RetainedCursor;

// Begins at the first match of `filter` (copied; no `$share`). Null when
// nothing can match (cheap early answer). End it with retained_cursor_end.
RetainedCursor *retained_cursor_begin(Retained *, Bytes filter);
enum class CursorStep : uint8_t { Found, Again, End };
// Goes on to the next message whose topic matches. Found: `*out` is it (no
// reference taken: valid until the next change). Again: `*budget` (topics
// looked at, counted down) ran out; call again later. End: no more.
CursorStep retained_cursor_next(Retained *, RetainedCursor *, uint32_t *budget,
                                Message **out);
void retained_cursor_end(Retained *, RetainedCursor *);

// Removes messages that have expired; looks at up to `budget` entries a call,
// going round. Returns how many it removed.
uint32_t retained_expire(Retained *, uint64_t now_ms, uint32_t budget);
