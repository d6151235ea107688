// base/pool.h -- objects of one size, without malloc's header and rounding.
//
// For what exists by the ten thousand: connections, clients, sessions, names.
//
//     page:  | header | slot | slot | slot | ...      4 KiB, aligned to 4 KiB
//
// A bit in the header says which slots are taken, so that all objects can be
// walked, and the page of an object follows from its address. A page goes back
// to the heap with its last object. Objects never move. Allocation takes the
// first page with room, so that pages in the back run empty.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <new>

constexpr uint32_t POOL_BLOCK_MIN = 32;
constexpr uint32_t POOL_BLOCK_MAX = 512;
constexpr int POOL_WORDS = 2;

struct Pool;

struct PoolPage {
    PoolPage *next = nullptr;   // pages with room come first
    PoolPage *prev = nullptr;
    Pool *pool = nullptr;
    uint64_t taken[POOL_WORDS] = {};
    uint16_t slots = 0;
    uint16_t live = 0;
};

struct Pool {
    PoolPage *first = nullptr;
    PoolPage *last = nullptr;
    uint32_t block = 0;  // bytes of one object, a multiple of 8
    uint32_t live = 0;   // objects
};

// `size` is rounded up to a multiple of 8; at most POOL_BLOCK_MAX.
void pool_init(Pool *, size_t size);

// Zeroed bytes for one object. Aborts when there is no memory.
[[nodiscard]] void *pool_alloc(Pool *);
// The object's memory goes back to its pool; null is allowed.
void pool_free(void *object);

// Walks all objects: for (p = pool_next(&pool, nullptr); p; p = pool_next(&pool, p)).
// The current one must not be freed before the next was asked for. Objects that
// are not freed meanwhile are seen, some perhaps twice; new ones may be missed.
void *pool_next(const Pool *, const void *after);

// Gives everything back, whatever is left in it.
void pool_end(Pool *);

template <class T> [[nodiscard]] T *pool_new(Pool *p) { return new (pool_alloc(p)) T{}; }
