// broker/slab.h -- small blocks of memory with 32-bit handles.
//
// For what exists by the million and is pointed to by the million: a handle is
// half a pointer, and a block has no header of malloc's.
//
//     handle:  | page number: 25 bits | slot: 7 bits |
//     page:    [block][block][block]...   all of one size, at most 4 KiB
//
// Blocks never move. A page goes back to the heap with its last block. Blocks
// beyond SLAB_SMALL have a page of their own.
#pragma once

#include "base/vec.h"

constexpr uint32_t SLAB_UNIT = 8;    // sizes are rounded up to it
constexpr uint32_t SLAB_SMALL = 512; // larger blocks share no page
constexpr uint32_t SLAB_CLASSES = SLAB_SMALL / SLAB_UNIT;
constexpr uint32_t SLAB_PAGE = 4072; // bytes of a full page, without malloc's 8
constexpr uint32_t SLAB_SLOT_BITS = 7;
constexpr uint32_t SLAB_NONE = UINT32_MAX; // no page; no valid handle either

struct SlabPage {
    char *base = nullptr;      // owned; null: the page number is free
    uint32_t next = SLAB_NONE; // on the list of its class, or of free numbers
    uint32_t prev = SLAB_NONE; // on the list of its class
    uint32_t block = 0;        // bytes of a block
    uint16_t slots = 0;        // blocks that there is room for
    uint16_t used = 0;
    uint16_t fresh = 0;        // slots from here on were never used
    uint16_t free_slot = 0;    // first of the chain of freed slots, + 1; 0: none
};
static_assert(sizeof(SlabPage) == 32);

struct Slab {
    Vec<SlabPage> pages;             // by page number
    uint32_t live_pages = 0;
    uint32_t free_page = SLAB_NONE;  // first of the chain of free numbers
    uint32_t open[SLAB_CLASSES];     // first page with room, by class
};

void slab_init(Slab *);
// Blocks that are left are gone.
void slab_end(Slab *);

// A block of at least `size` bytes, contents undefined, aligned to 8. Aborts
// when there is no memory.
[[nodiscard]] void *slab_alloc(Slab *, size_t size, uint32_t *handle);
void slab_free(Slab *, uint32_t handle);

inline void *slab_at(const Slab *s, uint32_t handle) {
    const SlabPage &p = s->pages[handle >> SLAB_SLOT_BITS];
    return p.base + (handle & ((1u << SLAB_SLOT_BITS) - 1)) * p.block;
}
