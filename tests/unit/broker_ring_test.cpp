// Rings of entries against a deque, and the slots of shared messages.
#include <doctest/doctest.h>

#include <deque>

#include "base/mem.h"
#include "base_random.h"
#include "broker/session.h"

static Entry numbered(uint32_t n) {
    Entry e;
    e.sub_id = n & 0xfffffffu;
    return e;
}

static void compare(Ring *r, const std::deque<uint32_t> &model) {
    REQUIRE(r->size == model.size());
    REQUIRE(r->size <= r->capacity);
    for (uint32_t i = 0; i < r->size; i++) REQUIRE(uint32_t{ring_at(r, i)->sub_id} == model[i]);
}

TEST_CASE("a ring does what a deque does, on random pushes, pops and removals") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    size_t before = mem_used();
    Ring r;
    std::deque<uint32_t> model;
    uint32_t serial = 0;
    for (int step = 0; step < 6000; step++) {
        bool grows = step / 500 % 2 == 0; // tides, so that it grows and shrinks
        if (model.empty() || random.below(10) < (grows ? 7u : 3u)) {
            ring_push(&r, numbered(++serial));
            model.push_back(serial);
        } else if (random.one_in(4)) {
            auto i = static_cast<uint32_t>(random.below(model.size()));
            ring_remove(&r, i);
            model.erase(model.begin() + i);
        } else {
            ring_pop(&r);
            model.pop_front();
        }
        if (step % 16 == 0) compare(&r, model);
    }
    compare(&r, model);
    ring_free(&r);
    CHECK(mem_used() == before);
}

TEST_CASE("an empty ring holds no memory, a full one at most four times its entries") {
    size_t before = mem_used();
    Ring r;
    for (uint32_t i = 0; i < 1000; i++) ring_push(&r, numbered(i));
    CHECK(r.capacity == 1024);
    while (r.size > 100) {
        ring_pop(&r);
        REQUIRE(r.capacity <= 4 * r.size + 4);
    }
    while (r.size) ring_pop(&r);
    CHECK(r.capacity == 0);
    CHECK(mem_used() == before);
}

TEST_CASE("removing from a ring that has come round keeps the order") {
    Ring r;
    for (uint32_t i = 0; i < 8; i++) ring_push(&r, numbered(i));
    for (uint32_t i = 0; i < 5; i++) ring_pop(&r);
    for (uint32_t i = 8; i < 13; i++) ring_push(&r, numbered(i)); // 5 to 12, across the end
    ring_remove(&r, 4);                                           // 9
    ring_remove(&r, 0);                                           // 5
    ring_remove(&r, r.size - 1);                                  // 12
    compare(&r, {6, 7, 8, 10, 11});
    ring_free(&r);
}

TEST_CASE("a share has one slot for each group, with the present identifier; free ones are used again") {
    Traffic t;
    Group a, b, c;
    CHECK(share_slot(&t, &a, 0) == 0);
    CHECK(share_slot(&t, &b, 5) == 1);
    CHECK(share_slot(&t, &a, 7) == 0); // it has changed meanwhile, for all [N5-55]
    t.shares[0].group = nullptr;
    CHECK(share_slot(&t, &c, 9) == 0);
    CHECK(t.shares.size == 2);
    Entry e;
    e.sub_id = 0;
    CHECK(entry_sub_id(&t, e) == 0);
    e.is_shared = 1;
    CHECK(entry_sub_id(&t, e) == 9);
    vec_free(&t.shares);
}
