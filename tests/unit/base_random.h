// unit/base_random.h -- random numbers that can be had again.
//
//     Random random; // prints its seed if the test case fails
//     INFO("KNUT_SEED=", random.seed);
//
// The environment variable KNUT_SEED repeats a run.
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"

struct Random {
    uint64_t seed = 0;
    uint64_t state = 0;

    Random() {
        const char *given = getenv("KNUT_SEED");
        if (given) {
            seed = strtoull(given, nullptr, 0);
        } else {
            random_bytes(&seed, sizeof seed);
        }
        state = seed;
    }
    uint64_t next() { return hash_mix(state += 0x9e3779b97f4a7c15u); }
    // 0 .. n - 1
    uint64_t below(uint64_t n) { return next() % n; }
    bool one_in(uint64_t n) { return below(n) == 0; }
};
