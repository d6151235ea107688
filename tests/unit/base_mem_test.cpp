#include "base/mem.h"

#include <doctest/doctest.h>

#include <string.h>

#include <thread>

TEST_CASE("memory in use is counted and comes back to where it was") {
    size_t before = mem_used();
    void *a = mem_alloc(1000);
    CHECK(mem_used() >= before + 1000);
    CHECK(mem_used() < before + 2000);
    void *b = mem_zero(5000);
    size_t with_both = mem_used();
    CHECK(with_both >= before + 6000);
    CHECK(mem_peak() >= with_both);
    mem_free(a);
    mem_free(b);
    CHECK(mem_used() == before);
    CHECK(mem_peak() >= with_both);
}

TEST_CASE("resizing keeps the contents and the count") {
    size_t before = mem_used();
    char *p = static_cast<char *>(mem_resize(nullptr, 10));
    memcpy(p, "midge", 6);
    p = static_cast<char *>(mem_resize(p, 3000000));
    CHECK(strcmp(p, "midge") == 0);
    CHECK(mem_used() >= before + 3000000);
    p = static_cast<char *>(mem_resize(p, 6));
    CHECK(strcmp(p, "midge") == 0);
    CHECK(mem_used() < before + 1000);
    mem_free(p);
    CHECK(mem_used() == before);
}

TEST_CASE("nothing is also an amount") {
    size_t before = mem_used();
    void *a = mem_alloc(0);
    void *b = mem_zero(0);
    void *c = mem_resize(mem_alloc(100), 0);
    void *d = mem_try(0);
    CHECK(a);
    CHECK(b);
    CHECK(c);
    CHECK(d);
    for (void *p : {a, b, c, d}) mem_free(p);
    mem_free(nullptr);
    CHECK(mem_used() == before);
}

TEST_CASE("an injected failure hits the n-th try and no other") {
    size_t before = mem_used();
    mem_fail_after(3);
    void *tries[5];
    for (void *&p : tries) p = mem_try(10);
    CHECK(tries[0]);
    CHECK(tries[1]);
    CHECK_FALSE(tries[2]);
    CHECK(tries[3]);
    CHECK(tries[4]);
    mem_fail_after(1);
    mem_fail_after(0);
    void *p = mem_try(10);
    CHECK(p);
    mem_free(p);
    for (void *t : tries) mem_free(t);
    CHECK(mem_used() == before);
}

TEST_CASE("a new object has its defaults, and deleting it runs destructors") {
    struct Member {
        int *ended = nullptr;
        ~Member() {
            if (ended) ++*ended;
        }
    };
    struct Thing {
        uint64_t n;
        int seven = 7;
        Member member;
    };
    size_t before = mem_used();
    int ended = 0;
    Thing *t = mem_new<Thing>();
    CHECK(t->n == 0);
    CHECK(t->seven == 7);
    t->member.ended = &ended;
    mem_delete(t);
    mem_delete(static_cast<Thing *>(nullptr));
    CHECK(ended == 1);
    CHECK(mem_used() == before);
}

TEST_CASE("threads do not spoil the count") {
    size_t before = mem_used();
    auto work = [] {
        for (size_t i = 0; i < 20000; i++) mem_free(mem_alloc(i % 300));
    };
    std::thread other(work);
    work();
    other.join();
    mem_trim();
    CHECK(mem_used() == before);
}
