// broker/retained_inside.h -- what retained.cpp and cursor.cpp share; nobody
// else includes it.
#pragma once

#include "base/map.h"
#include "broker/ordered.h"
#include "broker/retained.h"
#include "broker/slab.h"

struct TopicKey {
    const Retained *retained;
    Bytes topic;
};
struct TopicOps {
    static bool equal(uint32_t handle, const TopicKey &key);
};

struct Retained {
    HashKey key;
    MessageStats *stats = nullptr; // not ours
    Slab entries;                  // of Message *, each holding a reference
    Map<uint32_t, TopicKey, TopicOps> by_topic; // -> handle of the entry
    Ordered in_order;              // handles, by topic; probes are Bytes
    Ordered by_word;               // word keys, see below; probes are the same
    uint64_t payload_bytes = 0;
    uint64_t expire_at = 0;        // where retained_expire goes on in by_topic
};

inline Message *&retained_entry(const Retained *r, uint32_t handle) {
    return *static_cast<Message **>(slab_at(&r->entries, handle));
}
inline Bytes retained_topic(const Retained *r, uint64_t handle) {
    return message_topic(retained_entry(r, static_cast<uint32_t>(handle)));
}

// A key of by_word: all topics of a word lie together, those of few levels
// first (parents before children). Words may share a hash: a topic that is found
// by it is confirmed by matching the filter.
//
//     | hash of (level, text): 23 bits | levels of the topic: 9 | handle: 32 |
inline uint64_t word_key(const Retained *r, Bytes text, uint32_t level, uint32_t levels) {
    uint64_t hash = hash_mix(hash_bytes(r->key, text) + level * 0x9e3779b97f4a7c15u);
    return hash >> 41 << 41 | static_cast<uint64_t>(levels) << 32;
}
constexpr uint64_t WORD_LEVELS = 0x1ffull << 32; // the bits of the levels

uint32_t level_count(Bytes topic);
