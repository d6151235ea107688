// broker/ordered.h -- a sorted set of 64-bit keys: a B+ tree that can count.
//
//     branch:  [first key | keys below | node] [..] [..]      up to 42
//                              |
//     leaf:    [key][key][key]...                             up to 126
//
// What a key means, and so the order, is told by a function that compares it
// with a *probe*: whatever is looked for. Insertion, removal, seek and rank
// cost O(log n) comparisons; a key costs about nine bytes (a full node gives to
// its neighbours before it is split, so nodes are nine tenths full).
#pragma once

#include <stddef.h>
#include <stdint.h>

constexpr uint32_t ORDERED_LEAF = 126;
constexpr uint32_t ORDERED_BRANCH = 42;

struct OrderedNode;

// One child of a branch node.
struct OrderedBranch {
    OrderedNode *node = nullptr; // owned
    uint64_t first = 0;          // the least key below; in a node's first branch
                                 // perhaps out of date: nobody looks at it there
    uint64_t keys = 0;           // number of keys below
};

struct OrderedNode {
    uint64_t count = 0; // of keys or branches
    union {
        uint64_t keys[ORDERED_LEAF];
        OrderedBranch branches[ORDERED_BRANCH];
    };
    OrderedNode() : keys{} {}
};
static_assert(sizeof(OrderedNode) == 1016); // + 8 of malloc's

struct Ordered {
    // Negative: the probe comes before the key; 0: it is the key.
    int (*compare)(const void *user, const void *probe, uint64_t key) = nullptr;
    const void *user = nullptr;  // for compare; not ours
    OrderedNode *root = nullptr; // owned; null: empty
    uint32_t height = 0;         // branch levels above the leaves
    uint64_t changes = 0;        // counts insertions and removals
};

void ordered_free(Ordered *);
uint64_t ordered_size(const Ordered *);

// `probe` is the key in the form that compare takes.
void ordered_insert(Ordered *, const void *probe, uint64_t key);
// False if it is not there.
bool ordered_remove(Ordered *, const void *probe);

// A place between two keys: `left` keys follow at `at` (null: none). More may
// follow in the next leaf: seek again, beyond the last one. Valid while
// Ordered::changes stays as it is.
struct OrderedSpot {
    const uint64_t *at = nullptr;
    uint32_t left = 0; // 0: the end
};
// The first key that is not before the probe.
OrderedSpot ordered_seek(const Ordered *, const void *probe);
// The same, for a probe that is not before `spot`: cheaper when it is near.
OrderedSpot ordered_seek_from(const Ordered *, OrderedSpot spot, const void *probe);

// How many keys come before the probe.
uint64_t ordered_rank(const Ordered *, const void *probe);
