#include "base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000 +
           static_cast<uint64_t>(t.tv_nsec) / 1000;
}

uint64_t clock_now_us() { return read_us(CLOCK_BOOTTIME); }

uint64_t clock_now_ms() { return clock_now_us() / 1000; }

uint64_t clock_wall_ms() { return read_us(CLOCK_REALTIME) / 1000; }
