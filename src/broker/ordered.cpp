#include "broker/ordered.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

// Enough for 2^64 keys, even if every node held but ten.
constexpr uint32_t HEIGHT_MAX = 20;

// Leaves and branch nodes are split, shared and merged alike, as arrays of
// items.
struct Layout {
    uint64_t capacity;
    size_t width;    // bytes of an item
    bool is_leaf;
};
static Layout layout_at(uint32_t height) {
    if (!height) return {ORDERED_LEAF, sizeof(uint64_t), true};
    return {ORDERED_BRANCH, sizeof(OrderedBranch), false};
}

static char *item(OrderedNode *n, const Layout &s, uint64_t i) {
    return reinterpret_cast<char *>(n->keys) + i * s.width;
}

// Moves items [from, from + count) of `a` to place `to` of `b`.
static void copy_items(OrderedNode *b, uint64_t to, OrderedNode *a, uint64_t from,
                       uint64_t count, const Layout &s) {
    memmove(item(b, s, to), item(a, s, from), count * s.width);
}

static OrderedBranch branch_to(OrderedNode *n, const Layout &s) {
    if (s.is_leaf) return {n, n->keys[0], n->count};
    OrderedBranch b{n, n->branches[0].first, 0};
    for (uint64_t i = 0; i < n->count; i++) b.keys += n->branches[i].keys;
    return b;
}

// The last branch that does not begin behind the probe; the first if all do.
static uint64_t choose(const Ordered *o, const OrderedNode *n, const void *probe) {
    uint64_t low = 0, high = n->count;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (o->compare(o->user, probe, n->branches[middle].first) < 0)
            high = middle;
        else
            low = middle;
    }
    return low;
}

// The number of leading keys that come before the probe.
static uint64_t keys_before(const Ordered *o, const uint64_t *keys, uint64_t count,
                            const void *probe) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (o->compare(o->user, probe, keys[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t ordered_size(const Ordered *o) {
    return o->root ? branch_to(o->root, layout_at(o->height)).keys : 0;
}

// ---- growing ---------------------------------------------------------------

// Opens a gap for a branch at `i` of `n`.
static void branch_insert(OrderedNode *n, uint64_t i, const OrderedBranch &b) {
    memmove(&n->branches[i + 1], &n->branches[i], (n->count - i) * sizeof b);
    n->branches[i] = b;
    n->count++;
}

static void branch_remove(OrderedNode *n, uint64_t i) {
    n->count--;
    memmove(&n->branches[i], &n->branches[i + 1],
            (n->count - i) * sizeof(OrderedBranch));
}

// Moves `count` items from the front of child i + 1 to the end of child i.
static void shift_left(OrderedNode *parent, uint64_t i, uint64_t count, const Layout &s) {
    OrderedNode *left = parent->branches[i].node, *right = parent->branches[i + 1].node;
    copy_items(left, left->count, right, 0, count, s);
    left->count += count;
    right->count -= count;
    copy_items(right, 0, right, count, right->count, s);
    parent->branches[i] = branch_to(left, s);
    if (right->count) parent->branches[i + 1] = branch_to(right, s);
}

// Moves `count` items from the end of child i to the front of child i + 1.
static void shift_right(OrderedNode *parent, uint64_t i, uint64_t count, const Layout &s) {
    OrderedNode *left = parent->branches[i].node, *right = parent->branches[i + 1].node;
    copy_items(right, count, right, 0, right->count, s);
    left->count -= count;
    right->count += count;
    copy_items(right, 0, left, left->count, count, s);
    parent->branches[i] = branch_to(left, s);
    parent->branches[i + 1] = branch_to(right, s);
}

static bool has_room(const OrderedNode *n, const Layout &s) {
    return n->count < s.capacity - s.capacity / 16;
}

// Makes room in child `i`, which is full; the parent is not.
static void relieve(OrderedNode *parent, uint64_t i, const Layout &s) {
    OrderedNode *full = parent->branches[i].node;
    OrderedNode *left = i ? parent->branches[i - 1].node : nullptr;
    if (left && has_room(left, s))
        return shift_left(parent, i - 1, (full->count - left->count) / 2, s);
    OrderedNode *right = i + 1 < parent->count ? parent->branches[i + 1].node : nullptr;
    if (right && has_room(right, s))
        return shift_right(parent, i, (full->count - right->count) / 2, s);
    branch_insert(parent, i + 1, {mem_new<OrderedNode>(), 0, 0});
    shift_right(parent, i, full->count / 2, s);
}

// Puts a branch node above a full root.
static void grow(Ordered *o) {
    assert(o->height < HEIGHT_MAX);
    OrderedNode *above = mem_new<OrderedNode>();
    branch_insert(above, 0, branch_to(o->root, layout_at(o->height)));
    o->root = above;
    o->height++;
}

static void leaf_insert(Ordered *o, OrderedNode *leaf, const void *probe, uint64_t key) {
    uint64_t i = keys_before(o, leaf->keys, leaf->count, probe);
    memmove(&leaf->keys[i + 1], &leaf->keys[i], (leaf->count - i) * sizeof key);
    leaf->keys[i] = key;
    leaf->count++;
}

void ordered_insert(Ordered *o, const void *probe, uint64_t key) {
    o->changes++;
    if (!o->root) o->root = mem_new<OrderedNode>();
    if (o->root->count == layout_at(o->height).capacity) grow(o);
    OrderedNode *n = o->root;
    for (uint32_t h = o->height; h; h--) {
        Layout below = layout_at(h - 1);
        uint64_t i = choose(o, n, probe);
        if (n->branches[i].node->count == below.capacity) {
            relieve(n, i, below);
            i = choose(o, n, probe);
        }
        n->branches[i].keys++;
        n = n->branches[i].node;
    }
    leaf_insert(o, n, probe, key);
}

// ---- shrinking -------------------------------------------------------------

// The branch nodes above a leaf, and the branch taken in each.
struct OrderedPath {
    OrderedNode *node[HEIGHT_MAX + 1]; // by height
    uint64_t taken[HEIGHT_MAX + 1];
};

static OrderedNode *descend(const Ordered *o, const void *probe, OrderedPath *path) {
    OrderedNode *n = o->root;
    for (uint32_t h = o->height; h; h--) {
        path->node[h] = n;
        path->taken[h] = choose(o, n, probe);
        n = n->branches[path->taken[h]].node;
    }
    return n;
}

// Joins child i + 1 to child `i` if both fit well into one node.
static void join(OrderedNode *parent, uint64_t i, const Layout &s) {
    if (i + 1 >= parent->count) return;
    OrderedNode *left = parent->branches[i].node, *right = parent->branches[i + 1].node;
    if (left->count + right->count > s.capacity * 3 / 4) return;
    shift_left(parent, i, right->count, s);
    mem_free(right);
    branch_remove(parent, i + 1);
}

// After child `i` has lost an item.
static void settle(OrderedNode *parent, uint64_t i, const Layout &s) {
    OrderedNode *child = parent->branches[i].node;
    if (!child->count) {
        mem_free(child);
        branch_remove(parent, i);
        return;
    }
    parent->branches[i] = branch_to(child, s);
    if (child->count > s.capacity / 2) return;
    join(parent, i, s);
    if (i) join(parent, i - 1, s);
}

// Takes away roots that say nothing.
static void lower(Ordered *o) {
    while (o->root && o->root->count < 2) {
        if (!o->height && o->root->count) return;
        OrderedNode *empty = o->root;
        o->root = o->height && empty->count ? empty->branches[0].node : nullptr;
        o->height = o->root ? o->height - 1 : 0;
        mem_free(empty);
    }
}

bool ordered_remove(Ordered *o, const void *probe) {
    if (!o->root) return false;
    OrderedPath path;
    OrderedNode *leaf = descend(o, probe, &path);
    uint64_t i = keys_before(o, leaf->keys, leaf->count, probe);
    if (i == leaf->count || o->compare(o->user, probe, leaf->keys[i])) return false;
    o->changes++;
    leaf->count--;
    memmove(&leaf->keys[i], &leaf->keys[i + 1],
            (leaf->count - i) * sizeof leaf->keys[0]);
    for (uint32_t h = 1; h <= o->height; h++)
        settle(path.node[h], path.taken[h], layout_at(h - 1));
    lower(o);
    return true;
}

void ordered_free(Ordered *o) {
    // From left to right, one way down at a time: each branch node counts
    // down what is left of it.
    OrderedNode *above[HEIGHT_MAX + 1];
    uint32_t h = o->height;
    OrderedNode *n = o->root;
    while (n) {
        if (h && n->count) {
            above[h--] = n;
            n = n->branches[--n->count].node;
            continue;
        }
        mem_free(n);
        n = h < o->height ? above[++h] : nullptr;
    }
    o->root = nullptr;
    o->height = 0;
    o->changes++;
}

// ---- looking ---------------------------------------------------------------

OrderedSpot ordered_seek(const Ordered *o, const void *probe) {
    if (!o->root) return {};
    const OrderedNode *n = o->root;
    const OrderedNode *after = nullptr; // what follows on the right, and its height
    uint32_t after_height = 0;
    for (uint32_t h = o->height; h; h--) {
        uint64_t i = choose(o, n, probe);
        if (i + 1 < n->count) {
            after = n->branches[i + 1].node;
            after_height = h - 1;
        }
        n = n->branches[i].node;
    }
    uint64_t i = keys_before(o, n->keys, n->count, probe);
    if (i == n->count && after) {
        for (n = after; after_height; after_height--) n = n->branches[0].node;
        i = 0;
    }
    return {n->keys + i, static_cast<uint32_t>(n->count - i)};
}

OrderedSpot ordered_seek_from(const Ordered *o, OrderedSpot spot, const void *probe) {
    if (!spot.left || o->compare(o->user, probe, spot.at[spot.left - 1]) > 0)
        return ordered_seek(o, probe);
    uint64_t i = keys_before(o, spot.at, spot.left, probe);
    return {spot.at + i, static_cast<uint32_t>(spot.left - i)};
}

uint64_t ordered_rank(const Ordered *o, const void *probe) {
    if (!o->root) return 0;
    uint64_t before = 0;
    const OrderedNode *n = o->root;
    for (uint32_t h = o->height; h; h--) {
        uint64_t taken = choose(o, n, probe);
        for (uint64_t i = 0; i < taken; i++) before += n->branches[i].keys;
        n = n->branches[taken].node;
    }
    return before + keys_before(o, n->keys, n->count, probe);
}
