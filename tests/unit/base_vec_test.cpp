#include "base/vec.h"

#include <doctest/doctest.h>

#include <vector>

#include "unit/base_random.h"

TEST_CASE("an empty vector is small and holds no memory") {
    size_t before = mem_used();
    Vec<uint64_t> v;
    CHECK(sizeof v <= 16);
    CHECK(v.begin() == v.end());
    vec_free(&v);
    vec_shrink(&v);
    CHECK(mem_used() == before);
}

TEST_CASE("an element of the vector itself can be appended to it") {
    Vec<int> v;
    vec_push(&v, 1);
    for (int i = 0; i < 100; i++) vec_push(&v, v[0]);
    CHECK(v.size == 101);
    for (int n : v) CHECK(n == 1);
    vec_free(&v);
}

TEST_CASE("growth by half costs few copies, and shrinking gives back") {
    size_t before = mem_used();
    Vec<uint64_t> v;
    int moves = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        uint32_t capacity = v.capacity;
        vec_push(&v, i);
        moves += v.capacity != capacity;
    }
    CHECK(moves < 35);
    CHECK(v.capacity <= 150001);
    v.size = 10;
    vec_shrink(&v);
    CHECK(v.capacity == 10);
    CHECK(v[9] == 9);
    CHECK(mem_used() < before + 1000);
    v.size = 0;
    vec_shrink(&v);
    CHECK(v.data == nullptr);
    CHECK(mem_used() == before);
}

TEST_CASE("reserving makes room and changes nothing else") {
    Vec<int> v;
    vec_push(&v, 5);
    vec_reserve(&v, 100);
    CHECK(v.capacity == 100);
    vec_reserve(&v, 50);
    CHECK(v.capacity == 100);
    CHECK(v.size == 1);
    CHECK(v[0] == 5);
    vec_free(&v);
}

TEST_CASE("a vector behaves like std::vector") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    Vec<uint64_t> v;
    std::vector<uint64_t> model;
    for (int round = 0; round < 20000; round++) {
        uint64_t what = random.below(8);
        auto i = static_cast<uint32_t>(v.size ? random.below(v.size) : 0);
        if (what < 4 || !v.size) {
            uint64_t n = random.next();
            CHECK(*vec_push(&v, n) == n);
            model.push_back(n);
        } else if (what < 6) {
            vec_remove(&v, i);
            model.erase(model.begin() + i);
        } else if (what < 7) {
            vec_swap_remove(&v, i);
            model[i] = model.back();
            model.pop_back();
        } else {
            vec_shrink(&v);
        }
        REQUIRE(std::vector<uint64_t>(v.begin(), v.end()) == model);
    }
    vec_free(&v);
}
