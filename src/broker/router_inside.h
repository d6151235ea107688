// broker/router_inside.h -- what router.cpp and match.cpp share; nobody else
// includes it.
#pragma once

#include "base/map.h"
#include "broker/router.h"
#include "broker/shapes.h"
#include "broker/slab.h"

// A topic taken apart for matching. Lives for one match, on the stack; only the
// first `count` places are filled in.
struct TopicParts {
    uint32_t count = 0;                        // levels
    bool is_dollar = false;                    // begins with `$`
    Bytes text[ROUTER_LEVELS_MAX];
    uint64_t hash[ROUTER_LEVELS_MAX];          // of the level as it is
    uint64_t to_plus[ROUTER_LEVELS_MAX];       // what masking it adds to the sum
    uint64_t sum[ROUTER_LEVELS_MAX + 1];       // of the levels before this one
    TopicParts() {} // not filled with zeros: 20 KiB
};

// What to look for: a filter by its text, or a topic masked by a shape.
struct FilterKey {
    const Slab *slab;
    Bytes text;
    const TopicParts *parts; // null: by text
    const Shape *shape;      // null exactly when parts is
};
struct FilterOps {
    static bool equal(uint32_t handle, const FilterKey &key);
};

// A group by its filter and name.
struct GroupKey {
    const Slab *slab;
    const Filter *filter;
    Bytes name;
};
struct GroupOps {
    static bool equal(uint32_t handle, const GroupKey &key);
};

struct Router {
    HashKey key;
    uint64_t plus_text = 0; // level_text_hash of "+"
    uint64_t hash_text = 0; // level_text_hash of "#"
    Slab slab;              // of all Filters and Groups
    Map<uint32_t, FilterKey, FilterOps> filters; // filter -> slab handle
    Map<uint32_t, GroupKey, GroupOps> groups;    // group -> slab handle
    Shapes shapes;          // of the wildcard filters
    uint64_t subscriptions = 0;
    uint64_t shared = 0;
    uint64_t lookups = 0;
    uint32_t last_group_id = 0;
};

// The hash of a filter is the sum of this over its levels, `+` and `#` taken as
// texts like any other; so is that of a topic.
inline uint64_t level_hash(uint64_t text_hash, uint32_t level) {
    return hash_mix(text_hash + (level + 1) * 0x9e3779b97f4a7c15u);
}
inline uint64_t level_text_hash(const Router *r, Bytes text) {
    return hash_bytes(r->key, text);
}
