// base/clock.h -- the two clocks.
//
// Everything that lasts is measured with CLOCK_BOOTTIME (it goes on while a
// machine sleeps and nobody can set it). The wall clock is for people and for
// what outlives the process.
#pragma once

#include <stdint.h>

// Milliseconds since boot, read from the system at each call.
uint64_t clock_now_ms();

// Microseconds since boot.
uint64_t clock_now_us();

// Milliseconds since 1970.
uint64_t clock_wall_ms();
