// broker/ring.cpp -- rings of entries, and the slots of shared ones.
#include "broker/session.h"

static void resize(Ring *r, uint32_t capacity) {
    Entry *data = static_cast<Entry *>(mem_alloc(capacity * sizeof(Entry)));
    for (uint32_t i = 0; i < r->size; i++) data[i] = *ring_at(r, i);
    mem_free(r->data);
    r->data = data;
    r->head = 0;
    r->capacity = capacity;
}

Entry *ring_push(Ring *r, const Entry &e) {
    if (r->size == r->capacity) resize(r, r->capacity ? r->capacity * 2 : 2);
    Entry *at = ring_at(r, r->size++);
    *at = e;
    return at;
}

// Halving at a quarter keeps pushes and pops at O(1) on average.
static void shrink(Ring *r) {
    if (!r->size) return ring_free(r);
    if (r->capacity > 16 && r->size <= r->capacity / 4) resize(r, r->capacity / 2);
}

void ring_pop(Ring *r) {
    assert(r->size);
    r->head = (r->head + 1) & (r->capacity - 1);
    r->size--;
    shrink(r);
}

void ring_remove(Ring *r, uint32_t i) {
    assert(i < r->size);
    for (; i + 1 < r->size; i++) *ring_at(r, i) = *ring_at(r, i + 1);
    r->size--;
    shrink(r);
}

void ring_free(Ring *r) {
    mem_free(r->data);
    *r = {};
}

uint32_t share_slot(Traffic *t, Group *g, uint32_t sub_id) {
    uint32_t vacant = t->shares.size;
    for (uint32_t i = 0; i < t->shares.size; i++) {
        if (t->shares[i].group == g) {
            t->shares[i].sub_id = sub_id; // the present one goes with all [N5-55]
            return i;
        }
        if (!t->shares[i].group) vacant = i;
    }
    if (vacant == t->shares.size) vec_push(&t->shares, Share{});
    t->shares[vacant] = Share{g, sub_id};
    return vacant;
}

uint32_t entry_sub_id(const Traffic *t, const Entry &e) {
    return e.is_shared ? t->shares[e.sub_id].sub_id : e.sub_id;
}
