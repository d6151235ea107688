// sim/simulation.h -- the whole broker room against random clients.
//
// A schedule is some ninety random actions of a handful of clients on virtual
// time: they connect with every version, plain and over WebSocket, clean and
// durable; publish, subscribe, share, retain; stop reading; are cut at any
// byte, in both directions; come back, or take themselves over. An Oracle
// (oracle.h) judges what they receive. In the end everybody reads all there is,
// what was promised must be there, and the broker must hold no byte more than
// before.
//
// The seed decides everything: the same seed repeats a schedule.
#pragma once

#include <stdint.h>

#include <string>

namespace sim {

struct SimulationResult {
    std::string failure;   // empty: all promises were kept
    std::string trace;     // what was done, a line each; empty with Trace::Off
    uint64_t actions = 0;
    uint64_t received = 0; // messages that clients took
};

enum class Trace { Off, On };
SimulationResult simulate(uint64_t seed, Trace);

} // namespace sim
