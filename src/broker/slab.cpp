#include "broker/slab.h"

#include <stdlib.h>

constexpr uint32_t SLOT_MAX = 1u << SLAB_SLOT_BITS;
constexpr uint32_t PAGE_MAX = 1u << (32 - SLAB_SLOT_BITS);

void slab_init(Slab *s) {
    *s = {};
    for (uint32_t &head : s->open) head = SLAB_NONE;
}

void slab_end(Slab *s) {
    for (SlabPage &p : s->pages) mem_free(p.base);
    vec_free(&s->pages);
    slab_init(s);
}

static uint32_t *open_list(Slab *s, uint32_t block) {
    return &s->open[block / SLAB_UNIT - 1];
}

static void list_add(Slab *s, uint32_t number) {
    SlabPage *p = &s->pages[number];
    uint32_t *head = open_list(s, p->block);
    p->prev = SLAB_NONE;
    p->next = *head;
    if (*head != SLAB_NONE) s->pages[*head].prev = number;
    *head = number;
}

static void list_remove(Slab *s, uint32_t number) {
    SlabPage *p = &s->pages[number];
    if (p->next != SLAB_NONE) s->pages[p->next].prev = p->prev;
    if (p->prev != SLAB_NONE)
        s->pages[p->prev].next = p->next;
    else
        *open_list(s, p->block) = p->next;
}

static uint32_t number_take(Slab *s) {
    uint32_t number = s->free_page;
    if (number != SLAB_NONE) {
        s->free_page = s->pages[number].next;
        return number;
    }
    number = s->pages.size;
    if (number >= PAGE_MAX - 1) abort(); // 32 GiB at least: out of memory
    vec_push(&s->pages, SlabPage{});
    return number;
}

static uint32_t page_new(Slab *s, uint32_t block) {
    uint32_t slots = block > SLAB_SMALL ? 1 : SLAB_PAGE / block;
    if (slots > SLOT_MAX) slots = SLOT_MAX;
    uint32_t number = number_take(s);
    SlabPage *p = &s->pages[number];
    *p = {};
    p->base = static_cast<char *>(mem_alloc(static_cast<size_t>(slots) * block));
    p->block = block;
    p->slots = static_cast<uint16_t>(slots);
    s->live_pages++;
    return number;
}

static void page_free(Slab *s, uint32_t number) {
    SlabPage *p = &s->pages[number];
    mem_free(p->base);
    *p = {};
    p->next = s->free_page;
    s->free_page = number;
    if (--s->live_pages == 0) slab_end(s);
}

// A freed block holds the number of the next one, + 1.
static uint32_t slot_take(SlabPage *p) {
    p->used++;
    if (!p->free_slot) return p->fresh++;
    uint32_t slot = p->free_slot - 1u;
    memcpy(&p->free_slot, p->base + slot * p->block, sizeof p->free_slot);
    return slot;
}

void *slab_alloc(Slab *s, size_t size, uint32_t *handle) {
    auto block = static_cast<uint32_t>((size + SLAB_UNIT - 1) / SLAB_UNIT * SLAB_UNIT);
    bool is_small = block <= SLAB_SMALL;
    uint32_t number = is_small ? *open_list(s, block) : SLAB_NONE;
    if (number == SLAB_NONE) {
        number = page_new(s, block);
        if (is_small) list_add(s, number);
    }
    SlabPage *p = &s->pages[number];
    uint32_t slot = slot_take(p);
    if (is_small && p->used == p->slots) list_remove(s, number);
    *handle = number << SLAB_SLOT_BITS | slot;
    return p->base + slot * p->block;
}

void slab_free(Slab *s, uint32_t handle) {
    uint32_t number = handle >> SLAB_SLOT_BITS;
    uint32_t slot = handle & (SLOT_MAX - 1);
    SlabPage *p = &s->pages[number];
    bool is_small = p->block <= SLAB_SMALL;
    if (is_small && p->used == p->slots) list_add(s, number);
    memcpy(p->base + slot * p->block, &p->free_slot, sizeof p->free_slot);
    p->free_slot = static_cast<uint16_t>(slot + 1);
    if (--p->used) return;
    if (is_small) list_remove(s, number);
    page_free(s, number);
}
