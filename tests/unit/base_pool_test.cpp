#include "base/pool.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "base/mem.h"
#include "base_random.h"

static std::set<void *> walk(const Pool *p) {
    std::set<void *> seen;
    for (void *o = pool_next(p, nullptr); o; o = pool_next(p, o)) seen.insert(o);
    return seen;
}

TEST_CASE("a pool holds no memory when nothing lives in it") {
    size_t before = mem_used();
    Pool p;
    pool_init(&p, 80);
    CHECK(mem_used() == before);
    void *o = pool_alloc(&p);
    CHECK(mem_used() > before);
    pool_free(o);
    CHECK(mem_used() == before);
    pool_free(nullptr);
}

TEST_CASE("objects are zeroed, also in slots that were used before") {
    Pool p;
    pool_init(&p, 40);
    auto *a = static_cast<unsigned char *>(pool_alloc(&p));
    auto *keep = pool_alloc(&p);
    memset(a, 0xAA, 40);
    pool_free(a);
    auto *b = static_cast<unsigned char *>(pool_alloc(&p));
    CHECK(b == a);
    for (int i = 0; i < 40; i++) CHECK(b[i] == 0);
    pool_free(b);
    pool_free(keep);
}

TEST_CASE("an object costs little more than its size") {
    Pool p;
    pool_init(&p, 80);
    size_t before = mem_used();
    std::vector<void *> all;
    for (int i = 0; i < 10000; i++) all.push_back(pool_alloc(&p));
    CHECK(mem_used() - before < 10000 * 84);
    for (void *o : all) pool_free(o);
    CHECK(mem_used() == before);
}

TEST_CASE("random allocations and frees agree with a set") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    for (size_t size : {8u, 40u, 80u, 96u, 200u, 512u}) {
        size_t before = mem_used();
        Pool p;
        pool_init(&p, size);
        std::set<void *> model;
        std::vector<void *> list;
        for (int i = 0; i < 20000; i++) {
            bool grow = (i / 2500) % 2 == 0;
            if (list.empty() || random.below(10) < (grow ? 7 : 3)) {
                void *o = pool_alloc(&p);
                REQUIRE(model.insert(o).second);
                memset(o, 0x55, size);
                list.push_back(o);
            } else {
                size_t at = random.below(list.size());
                pool_free(list[at]);
                model.erase(list[at]);
                list[at] = list.back();
                list.pop_back();
            }
        }
        CHECK(p.live == model.size());
        CHECK(walk(&p) == model);
        for (void *o : list) pool_free(o);
        CHECK(walk(&p).empty());
        CHECK(mem_used() == before);
    }
}

TEST_CASE("all objects are seen when each is freed on the way") {
    Pool p;
    pool_init(&p, 64);
    std::set<void *> all, seen;
    for (int i = 0; i < 1000; i++) all.insert(pool_alloc(&p));
    for (void *o = pool_next(&p, nullptr), *next; o; o = next) {
        next = pool_next(&p, o);
        seen.insert(o);
        pool_free(o);
    }
    CHECK(seen == all);
    CHECK(p.live == 0);
}
