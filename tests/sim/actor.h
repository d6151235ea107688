// sim/actor.h -- a client of the simulation: it keeps MQTT's rules, but its
// network does not keep anything.
//
// An Actor remembers what the standard wants a client to remember over
// connections (its unfinished publishes, the QoS 2 ids it has received) and
// tells the Oracle what it received. It acknowledges at once or late.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "base/hash.h"
#include "sim/oracle.h"
#include "sim/sim_client.h"

namespace sim {

// Repeatable random numbers.
struct Dice {
    uint64_t state = 0;
    uint64_t next() { return hash_mix(state += 0x9e3779b97f4a7c15u); }
    uint64_t below(uint64_t n) { return next() % n; }
    bool one_in(uint64_t n) { return below(n) == 0; }
    template <class T, size_t N> const T &pick(const T (&of)[N]) { return of[below(N)]; }
};

struct Stage_ { // of an own publish that is not finished
    Note note;
    bool released = false; // PUBREC has come
    bool matches = true;   // the last copy that was handled matched somebody
};

// One packet to send, and what is true once the broker has it whole.
struct Outgoing {
    std::string bytes;
    std::function<void()> handled;
};

struct Crowd; // what all actors share: simulation.cpp

struct Actor {
    Crowd *crowd = nullptr;
    std::string id;
    std::unique_ptr<SimClient> client = std::make_unique<SimClient>();
    bool connected = false;    // as far as the oracle knows
    bool resumed = false;      // this connection found a session
    bool is_late = false;      // acknowledges only now and then
    bool was_slow = false;     // in this connection
    uint16_t window = 65535;   // most that may be open towards it
    uint16_t quota = 20;       // most that it may have open towards the broker
    uint16_t alias_maximum = 0;
    std::vector<std::string> aliases; // its own, towards the broker

    // What outlives connections, as long as the session does.
    std::vector<Stage_> out;   // in the order first sent [MQTT-4.6.0-1]
    std::map<uint16_t, std::string> unacked; // QoS 1 taken, PUBACK not yet with the broker
    std::map<uint16_t, std::string> open2;   // QoS 2 taken, not yet released
    uint16_t next_id = 1;

    std::set<uint16_t> holding;  // in this connection: not finally acknowledged
    std::vector<Outgoing> owed;  // acknowledgements, in order
    std::map<uint16_t, uint8_t> subscribing; // packet id -> what SUBACK must say

    int version() const { return client->hello.version; }
    uint16_t new_id();
    void forget();               // the session is gone
    void on_packet(const Got &);
    // Sends what is owed; true if there was anything.
    bool pay();
    void publish(Note);
    void resend();               // after a resumed CONNECT [MQTT-4.4.0-1]

private:
    void on_publish(const Got &);
    void on_own_ack(const Got &);
    void owe(SimType, uint16_t id);
    void first_time(const Got &);
};

struct Crowd {
    World *world = nullptr;
    Oracle oracle;
    Dice dice;
    uint64_t received = 0;
    bool traces = false;       // costs as much as all the rest
    std::string trace;         // what happened, a line each
    void note(const Actor *a, const std::string &what) {
        if (traces) trace += std::to_string(world->now_ms) + " " + (a ? a->id : "-") + " " + what + "\n";
    }
    // Sends packets in one piece; the broker and the oracle take them.
    void transmit(Actor *, const std::vector<Outgoing> &);
    // The same, but the connection ends after `most` bytes of the wire.
    void transmit_cut(Actor *, const std::vector<Outgoing> &, size_t most);
    size_t wire_size(Actor *, const std::vector<Outgoing> &);
};

} // namespace sim
