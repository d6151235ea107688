// loop.h -- thousands of MQTT client connections in one thread.
//
// A turn: wait for readiness, read and handle each connection once, let the
// scenario publish (on_turn), then one write for each connection with output.
#pragma once

#include "wire.h"

#include <cstdint>
#include <string>
#include <vector>

struct Loop;
struct Conn;
struct Publisher;
struct Subscriber;

enum class Stage : uint8_t { Closed, Connecting, Upgrading, Greeting, Live, Leaving };

// What a scenario wants to know of a connection; null: nothing.
struct ConnEvents {
    void (*on_live)(Loop *, Conn *);
    void (*on_publish)(Loop *, Conn *, const PublishView &);
    void (*on_ack)(Loop *, Conn *, uint16_t id); // PUBACK, or PUBCOMP
    void (*on_closed)(Loop *, Conn *);
};

// Owner: the scenario, in a container that does not move it.
struct Conn {
    int fd = -1;
    uint32_t index = 0;          // the scenario's number for it
    Stage stage = Stage::Closed;
    bool is_dirty = false;       // in Loop::dirty
    bool waits_for_room = false; // EPOLLOUT asked for
    bool is_clean = true;        // clean session wanted
    bool is_deaf = false;        // does not read (the slow reader)
    uint16_t receive_max = 65535;
    uint16_t next_id = 1;        // of SUBSCRIBE and UNSUBSCRIBE
    uint32_t acks_due = 0;       // SUBACK and UNSUBACK still to come
    size_t written = 0;          // of out
    std::string out;
    std::string in;              // an unfinished packet
    WsReader ws;
    const ConnEvents *events = nullptr;
    Publisher *publisher = nullptr;
    Subscriber *subscriber = nullptr;
};

struct Target {
    uint16_t port = 1883;
    int pid = 0;                 // the broker's process; 0: nothing is measured
    bool is_ws = false;
    Version version = Version::V311;
};

// Any of these above zero makes a run void.
struct Faults {
    uint64_t closed = 0;         // connections that the broker ended
    uint64_t refused = 0;        // CONNACK, SUBACK or acknowledgement with an error
    uint64_t malformed = 0;      // bytes that are no MQTT or no WebSocket
};

struct Loop {
    int epoll = -1;
    Target target;
    bool spins = false;          // does not sleep: for a fixed rate
    bool always_spins = false;   // does not sleep at all (--spin 1)
    uint64_t now = 0;            // ns; at the last read
    std::vector<Conn *> dirty;
    std::vector<char> buffer;    // shared by all reads
    void (*on_turn)(Loop *) = nullptr;
    void *user = nullptr;        // the scenario's
    Faults faults;
    uint64_t lives = 0;          // connections greeted so far
    uint64_t acks_due = 0;       // the sum of the connections'
    uint64_t pings_due = 0;      // PINGRESP
    uint32_t random = 2463534242;
};

void loop_open(Loop *l, const Target &target);
void loop_turn(Loop *l, int timeout_ms);

// Turns until done() or until the time is over; gives done().
template <class Done> bool loop_until(Loop *l, double seconds, Done done);

void conn_open(Loop *l, Conn *c);
void conn_leave(Loop *l, Conn *c);          // DISCONNECT; the broker closes
void conn_close(Loop *l, Conn *c);          // at once, without a word
void conn_deafen(Loop *l, Conn *c, bool is_deaf);

// Output: append packets to c->out between these two.
size_t packet_begin(Conn *c);
void packet_end(Loop *l, Conn *c, size_t begin);

void conn_subscribe(Loop *l, Conn *c, std::string_view filters);
void conn_unsubscribe(Loop *l, Conn *c, std::string_view filter);
void conn_ping(Loop *l, Conn *c);

// Opens all of them, a few at a time; true when all are live.
template <class List> bool connect_all(Loop *l, List &conns, double seconds);
template <class List> bool leave_all(Loop *l, List &conns, double seconds);

uint32_t loop_random(Loop *l);

// ---- templates

uint64_t now_ns();

template <class Done> bool loop_until(Loop *l, double seconds, Done done) {
    uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    while (!done()) {
        if (now_ns() >= end) return false;
        loop_turn(l, l->spins || l->always_spins ? 0 : 10);
    }
    return true;
}

// The listen queue of Mosquitto holds 100: more at a time would be dropped by
// the kernel and tried again after a second.
constexpr uint64_t OPENING_MAX = 64;

template <class List> bool connect_all(Loop *l, List &conns, double seconds) {
    uint64_t begin = l->lives, opened = 0;
    auto it = conns.begin();
    return loop_until(l, seconds, [&] {
        for (; it != conns.end() && opened - (l->lives - begin) < OPENING_MAX; ++it, ++opened) conn_open(l, &*it);
        return it == conns.end() && l->lives - begin >= opened;
    });
}

template <class List> bool leave_all(Loop *l, List &conns, double seconds) {
    for (auto &c : conns) if (c.stage == Stage::Live) conn_leave(l, &c);
    return loop_until(l, seconds, [&] {
        for (auto &c : conns) if (c.stage != Stage::Closed) return false;
        return true;
    });
}
