#include "base/pool.h"

#include <assert.h>
#include <string.h>

#include <bit>

#include "base/pages.h"
#include "base/poison.h"

static_assert((PAGE_SIZE - sizeof(PoolPage)) / POOL_BLOCK_MIN <= 64 * POOL_WORDS);

static char *slot_at(const PoolPage *page, uint32_t i) {
    char *base = reinterpret_cast<char *>(const_cast<PoolPage *>(page)) + sizeof(PoolPage);
    return base + static_cast<size_t>(i) * page->pool->block;
}

static PoolPage *page_of(const void *object) {
    auto at = reinterpret_cast<uintptr_t>(object);
    return reinterpret_cast<PoolPage *>(at & ~(PAGE_SIZE - 1));
}

static uint32_t slot_of(const PoolPage *page, const void *object) {
    auto offset = static_cast<const char *>(object) - slot_at(page, 0);
    return static_cast<uint32_t>(offset) / page->pool->block;
}

static bool is_full(const PoolPage *page) { return page->live == page->slots; }

// ---- the list of pages: those with room in front ---------------------------

static void link_between(Pool *p, PoolPage *page, PoolPage *prev, PoolPage *next) {
    page->prev = prev;
    page->next = next;
    (prev ? prev->next : p->first) = page;
    (next ? next->prev : p->last) = page;
}

static void unlink(Pool *p, PoolPage *page) {
    (page->prev ? page->prev->next : p->first) = page->next;
    (page->next ? page->next->prev : p->last) = page->prev;
}

static void add_page(Pool *p) {
    auto *page = new (page_new()) PoolPage{};
    page->pool = p;
    page->slots = static_cast<uint16_t>((PAGE_SIZE - sizeof(PoolPage)) / p->block);
    link_between(p, page, nullptr, p->first);
    poison(slot_at(page, 0), PAGE_SIZE - sizeof(PoolPage));
}

static void drop_page(Pool *p, PoolPage *page) {
    unlink(p, page);
    unpoison(page, PAGE_SIZE);
    page_free(page);
}

// ---- objects ---------------------------------------------------------------

void pool_init(Pool *p, size_t size) {
    if (size < POOL_BLOCK_MIN) size = POOL_BLOCK_MIN;
    assert(size <= POOL_BLOCK_MAX);
    *p = {};
    p->block = static_cast<uint32_t>((size + 7) & ~size_t{7});
}

void *pool_alloc(Pool *p) {
    if (!p->first || is_full(p->first)) add_page(p);
    PoolPage *page = p->first;
    int word = 0;
    while (page->taken[word] == UINT64_MAX) word++;
    int bit = std::countr_one(page->taken[word]);
    page->taken[word] |= uint64_t{1} << bit;
    page->live++;
    p->live++;
    if (is_full(page) && p->last != page) {
        unlink(p, page);
        link_between(p, page, p->last, nullptr);
    }
    char *slot = slot_at(page, static_cast<uint32_t>(word * 64 + bit));
    unpoison(slot, p->block);
    return memset(slot, 0, p->block);
}

void pool_free(void *object) {
    if (!object) return;
    PoolPage *page = page_of(object);
    Pool *p = page->pool;
    uint32_t i = slot_of(page, object);
    assert(page->taken[i / 64] >> (i % 64) & 1);
    bool was_full = is_full(page);
    page->taken[i / 64] &= ~(uint64_t{1} << (i % 64));
    poison(slot_at(page, i), p->block);
    page->live--;
    p->live--;
    if (!page->live) {
        drop_page(p, page);
    } else if (was_full) {
        unlink(p, page);
        link_between(p, page, nullptr, p->first);
    }
}

// The first taken slot from `i` on, or -1.
static int next_taken(const PoolPage *page, uint32_t i) {
    for (; i < page->slots; i++)
        if (page->taken[i / 64] >> (i % 64) & 1) return static_cast<int>(i);
    return -1;
}

void *pool_next(const Pool *p, const void *after) {
    const PoolPage *page = after ? page_of(after) : p->first;
    uint32_t from = after ? slot_of(page, after) + 1 : 0;
    for (; page; page = page->next, from = 0) {
        int i = next_taken(page, from);
        if (i >= 0) return slot_at(page, static_cast<uint32_t>(i));
    }
    return nullptr;
}

void pool_end(Pool *p) {
    while (p->first) drop_page(p, p->first);
    p->live = 0;
}
