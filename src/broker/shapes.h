// broker/shapes.h -- the shapes of wildcard filters in use, counted.
//
// A shape is what is left of a filter without its literal texts:
//
//     a/+/c     3 levels, plus at 1
//     b/+/x/#   3 levels, plus at 1, `#` behind
//
// Shapes are indexed by their number of levels, so that a topic is only tried
// with those that fit: without `#` as many levels as it has; with `#` as many
// or fewer, since `#` matches the parent level too [MQTT-4.7.1-2].
//
// Many shapes cost little: each keeps a set of 64 *cues*, bits that its
// filters' first and last literal levels hash to. A topic whose own cue at
// these levels is not in the set is done with after one bit test; 10,000
// shapes of one filter each cost about 150 look-ups so.
#pragma once

#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "mqtt/topic.h"

// A mount point of up to 255 bytes may stand before any topic and filter.
constexpr uint32_t ROUTER_LEVELS_MAX = 512;
static_assert(TOPIC_MAX_LEVELS + 255 <= ROUTER_LEVELS_MAX);

struct Shape {
    uint64_t plus[ROUTER_LEVELS_MAX / 64] = {}; // bit i: level i is `+`
    uint32_t filters = 0;     // how many have it; 0: the number is free
    uint32_t at = 0;          // its place among the probes of its bucket
    uint16_t levels = 0;      // without `#`
    uint16_t first = 0;       // first literal level; 0 if there is none
    uint16_t last = 0;        // last literal level
    bool has_hash = false;    // `#` ends it
    bool has_literal = false;
};

// What is looked at for every shape that fits.
struct ShapeProbe {
    uint64_t cues = 0;  // of all filters since it came; all ones without literals
    uint32_t shape = 0; // its number
    uint16_t first = 0; // Shape::first, last
    uint16_t last = 0;
};
static_assert(sizeof(ShapeProbe) == 16);

struct ShapeBucket {
    Vec<ShapeProbe> probes;
};

struct ShapeKey;
struct ShapeOps {
    static bool equal(uint32_t value, const ShapeKey &key);
};

struct Shapes {
    Vec<Shape> all;            // by number
    Vec<uint32_t> free;        // numbers to use again
    Vec<ShapeBucket> plain;    // by number of levels
    Vec<ShapeBucket> hashed;   // the same, with `#` behind
    Map<uint32_t, ShapeKey, ShapeOps> by_mask; // shape -> its number
};
struct ShapeKey {
    const Shapes *shapes;
    const Shape *shape;
};

inline uint32_t shapes_count(const Shapes *s) { return s->by_mask.size(); }
void shapes_free(Shapes *);

// The shape of a wildcard filter; `filters` and `at` are left 0.
Shape shape_of(Bytes filter);
inline bool shape_has_plus(const Shape &s, uint32_t level) {
    return s.plus[level / 64] >> level % 64 & 1;
}

// The cue of a filter or topic from its hashes at Shape::first and last.
inline uint32_t shape_cue(uint64_t first_hash, uint64_t last_hash) {
    return static_cast<uint32_t>((first_hash + last_hash) >> 58);
}

// Counts a filter in, or out. O(1).
void shapes_add(Shapes *, const Shape &, uint32_t cue);
void shapes_remove(Shapes *, const Shape &);
