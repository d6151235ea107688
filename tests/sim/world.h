// sim/world.h -- the broker room in one process: no socket, no file, no clock.
//
// A World owns a Net without a reactor, a Broker, and a virtual clock. Peers
// are the far ends of connections: they put bytes into memory, and find there
// what the broker sent. Nothing happens by itself:
//
//     World w;
//     Listener *plain = w.listen(Protocol::Mqtt);
//     w.start();
//     Peer *p = w.connect(plain);
//     w.send(p, connect_packet);
//     w.settle();                  // the broker works until nothing is left to do
//     CHECK(p->inbox == connack_packet);
//     w.advance(90'000);           // virtual time; every timer fires when it is due
//
// A World is deterministic: the same calls give the same bytes. Two of them may
// live side by side. Options may be set up to start(), and later with
// broker_options_changed(w.broker).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "broker/broker.h"
#include "net/net.h"

struct World;

// The far end of one connection. Owner: its World, until the World ends.
struct Peer {
    World *world = nullptr;
    int index = 0;          // stands in for the descriptor
    Conn *conn = nullptr;   // null once the broker has let go of it
    std::string inbox;      // what the broker sent; the test takes it from here
    std::string outbox;     // what was sent and the broker has not read yet
    size_t outbox_at = 0;   // bytes of it that the broker has read
    bool reading = true;    // false: the broker's writes meet EAGAIN ...
    size_t room = 0;        // ... after so many bytes more
    bool finished = false;  // this side has ended sending (FIN)
    bool broken = false;    // this side has reset the connection
    bool ended = false;     // the broker has ended sending, or all
    bool polite = true;     // answers the broker's end with one of its own
    uint8_t interest = 0;   // what the broker waits for (READY_*)
};

struct World {
    BrokerSetup setup;
    BrokerOptions options;
    Net *net = nullptr;
    Broker *broker = nullptr;             // null before start()
    uint64_t now_ms = 1'000'003;          // boot time, virtual
    uint64_t wall_at_zero_ms = 1'763'000'000'000; // the wall clock stands at this + now_ms
    std::deque<Peer> peers;               // stable addresses
    std::deque<ListenerPolicy> policies;  // one per listener, stable addresses
    std::deque<Listener *> listeners;     // made by listen(), closed at the end

    World();
    ~World();
    World(const World &) = delete;
    World &operator=(const World &) = delete;

    // A listener without a socket. Its policy (Listener::user) may be changed
    // until a peer connects.
    Listener *listen(Protocol protocol, const ListenerPolicy &policy = {});
    Listener *listen(const ListenerOptions &options, const ListenerPolicy &policy);
    static ListenerPolicy *policy_of(Listener *l) { return static_cast<ListenerPolicy *>(l->user); }

    // Makes the broker. `store` may be null and must outlive the World.
    void start(Store *store = nullptr);

    // Null if the broker refused the connection (a limit).
    Peer *connect(Listener *);
    Peer *connect(Listener *, const Addr &from);

    // None of these lets the broker run; settle() does.
    void send(Peer *, std::string_view bytes);
    void finish(Peer *);           // ends the stream, as close() does
    void reset(Peer *);            // the network fails
    void stop_reading(Peer *, size_t room = 0);
    void resume_reading(Peer *);
    std::string take(Peer *);      // the inbox; it is empty afterwards

    // Runs the broker until it has nothing left to do at this moment.
    // Throws std::runtime_error if that never comes.
    void settle();
    // Settles, then lets time pass, settling wherever a timer is due.
    void advance(uint64_t ms);
    // The earliest time at which the broker wants to run again.
    uint64_t next_ms() const;

    bool gone(const Peer *p) const { return !p->conn; }

private:
    bool turn();
};

// 127.0.0.1, port 40000 + n.
Addr loopback_addr(uint16_t n = 0);
