// The simulation: random clients on virtual time, judged by an oracle.
//
// KNUT_SCHEDULES sets how many schedules are run (KNUT_LONG: many); KNUT_SEED
// sets the first one's seed. A failure prints the seed that repeats it:
//
//     KNUT_SEED=0x... KNUT_SCHEDULES=1 build/debug/unit -tc='random clients*'
#include <doctest/doctest.h>
#include <stdio.h>
#include <stdlib.h>

#include "base_random.h"
#include "sim/simulation.h"

constexpr uint64_t SCHEDULES = 200, SCHEDULES_LONG = 5000;

static uint64_t schedules_wanted() {
    const char *given = getenv("KNUT_SCHEDULES");
    if (given) return strtoull(given, nullptr, 0);
    return getenv("KNUT_LONG") ? SCHEDULES_LONG : SCHEDULES;
}

TEST_CASE("random clients find every promise kept [MQTT-4.3.2-1 to -5, 4.3.3-1 to -13, 4.6.0-5, N5-20]") {
    uint64_t schedules = schedules_wanted();
    Random random;
    uint64_t received = 0;
    for (uint64_t i = 0; i < schedules; i++) {
        uint64_t seed = random.seed + i;
        sim::SimulationResult r = sim::simulate(seed, sim::Trace::Off);
        received += r.received;
        if (r.failure.empty()) continue;
        r = sim::simulate(seed, sim::Trace::On);
        char text[32];
        snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(seed));
        FAIL("KNUT_SEED=", text, " KNUT_SCHEDULES=1\n", r.trace, r.failure);
    }
    CHECK(received > schedules * 10); // they do talk
}

TEST_CASE("a seed repeats its schedule to the byte") {
    uint64_t seed = Random().seed;
    sim::SimulationResult a = sim::simulate(seed, sim::Trace::On);
    sim::SimulationResult b = sim::simulate(seed, sim::Trace::On);
    CHECK(a.trace == b.trace);
    CHECK(a.received == b.received);
    CHECK(a.failure == b.failure);
}
