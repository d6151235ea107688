#include "base/clock.h"

#include <doctest/doctest.h>

#include <time.h>

TEST_CASE("the clock since boot only goes forward") {
    uint64_t last = clock_now_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_us();
        REQUIRE(now >= last);
        last = now;
    }
}

TEST_CASE("milliseconds and microseconds are of one clock") {
    uint64_t us = clock_now_us();
    uint64_t ms = clock_now_ms();
    CHECK(ms >= us / 1000);
    CHECK(ms <= clock_now_us() / 1000);
}

TEST_CASE("the wall clock is the system's") {
    auto before = static_cast<uint64_t>(time(nullptr));
    uint64_t ms = clock_wall_ms();
    CHECK(ms >= before * 1000 - 1000); // time() may lag by a timer tick
    CHECK(ms <= before * 1000 + 60000);
}
