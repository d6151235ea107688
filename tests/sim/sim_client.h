// sim/sim_client.h -- an MQTT client over a World's memory pipe, for tests.
//
// Packets are written and read here from the standard's text and not by
// src/mqtt: two readings of the same text find more mistakes than one. Nothing
// here knows the test framework.
//
//     Scene s;                                  // a World with two listeners
//     SimClient *a = s.connect({.id = "a"});    // reads its CONNACK too
//     a->subscribe("t", 1);
//     s.publish("t", "one", 1);
//     CHECK(a->seen() == "suback 1 01, t=one q1 #1");
//     a->ack(PUBACK, 1);
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/world.h"
#include "sim/wsclient.h"

namespace sim {

enum SimType : uint8_t {
    CONNECT = 1, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK,
    UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH,
};

// ---- bytes -----------------------------------------------------------------

std::string sim_u16(size_t);
std::string sim_u32(size_t);
std::string sim_varint(size_t);
std::string sim_text(std::string_view); // two bytes of length, and the text
std::string sim_packet(unsigned head, std::string_view body);

// Properties of 5.0, to be concatenated.
std::string prop_u8(uint8_t id, unsigned);
std::string prop_u16(uint8_t id, size_t);
std::string prop_u32(uint8_t id, size_t);
std::string prop_varint(uint8_t id, size_t);
std::string prop_text(uint8_t id, std::string_view);
inline std::string session_expiry(size_t s) { return prop_u32(0x11, s); }
inline std::string will_delay(size_t s) { return prop_u32(0x18, s); }
inline std::string message_expiry(size_t s) { return prop_u32(0x02, s); }
inline std::string receive_maximum(size_t n) { return prop_u16(0x21, n); }

// ---- packets ---------------------------------------------------------------

struct Hello { // CONNECT
    std::string id = "c";
    int version = 4;          // 3, 4 or 5
    bool clean = true;
    uint16_t keep_alive_s = 0;
    std::string props = {};   // 5 only
    std::string will_topic = {}; // empty: no will
    std::string will_payload = "gone";
    uint8_t will_qos = 0;
    bool will_retain = false;
    std::string will_props = {};
    std::string user = {};    // empty: none
};
std::string connect_packet(const Hello &);

struct Note { // PUBLISH
    std::string topic;
    std::string payload = {};
    uint8_t qos = 0;
    uint16_t id = 0;          // 0 with qos > 0: the client's next
    bool retain = false;
    bool dup = false;
    std::string props = {};   // 5 only
};
std::string publish_packet(const Note &, int version);

// A packet from the broker, taken apart.
struct Got {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint8_t code = 0;         // reason or return code
    bool present = false;     // CONNACK
    uint16_t id = 0;
    std::string codes;        // SUBACK, UNSUBACK
    std::string topic, payload; // PUBLISH; the topic is filled in from an alias
    uint16_t alias = 0;
    bool by_alias = false;    // the topic was not in the packet
    uint32_t expiry_s = UINT32_MAX;
    uint16_t receive_maximum = 65535;
    uint16_t alias_maximum = 0;
    std::string assigned_id;
    std::vector<uint32_t> sub_ids;
    std::string props;        // all of them, as they came
    int qos() const { return flags >> 1 & 3; }
    bool dup() const { return flags & 8; }
    bool retain() const { return flags & 1; }
};
// "t=one q1 #1 dup retain id7", "puback 1 0x10", "bye 0x8e"; see the source.
std::string describe(const Got &);

// ---- a client --------------------------------------------------------------

// One connection at a time. Owner: whoever made it; its World must outlive it.
struct SimClient {
    World *world = nullptr;
    Peer *peer = nullptr;     // null: the broker refused the connection
    Hello hello;
    bool is_web = false;
    std::string web_host = "localhost:9001";
    std::string web_headers = {}; // further ones of its request, lines with CRLF
    bool acks = false;        // answers everything of QoS 1 and 2 by itself
    websocket::WsReader web;
    std::string stream;       // what came, beginning with what ...
    size_t stream_at = 0;     // ... was taken already
    std::string fault;        // the broker broke a rule; empty: none
    std::vector<std::string> aliases; // from the broker; index alias - 1
    uint16_t next_id = 1;
    bool told_end = false;
    Got welcome;              // the CONNACK, as far as Scene has read it

    // A connection without CONNECT (with the WebSocket handshake, though).
    void dial(Listener *, const Addr &from);
    void send(std::string_view packets); // and lets the broker run
    void post(std::string_view packets); // does not
    std::string framed(std::string_view packets) const; // as the wire wants it

    uint16_t publish(const Note &);      // returns the packet id
    uint16_t subscribe(std::string_view filter, unsigned options, std::string_view props = {});
    uint16_t unsubscribe(std::string_view filter);
    void ack(SimType, uint16_t id, unsigned code = 0);
    void disconnect(unsigned code = 0, std::string_view props = {});
    void cut() { world->reset(peer); world->settle(); }

    // Whole packets that have come since the last call. With `most`, no more
    // bytes than that are read from the connection, the rest stays there.
    std::vector<Got> take(size_t most = SIZE_MAX);
    // The same in words, with "closed" once the broker has ended it.
    std::string seen();
    bool open() const { return peer && peer->conn && !peer->ended; }

private:
    bool cut_packet(Got *);
    void read(Got *, std::string_view body);
    void read_props(Got *, std::string_view props);
    void answer(const Got &);
};

// ---- a whole scene ---------------------------------------------------------

// Swallows log lines while it exists, and keeps them.
struct LogTrap {
    std::string lines;
    LogTrap *outer = nullptr; // takes over again when this one ends
    LogTrap();
    ~LogTrap();
    LogTrap(const LogTrap &) = delete;
    LogTrap &operator=(const LogTrap &) = delete;
    bool has(std::string_view text) const { return lines.find(text) != std::string::npos; }
};

struct Scene {
    LogTrap log;
    World world;
    Listener *plain = nullptr;
    Listener *web = nullptr;
    std::vector<std::unique_ptr<SimClient>> clients;

    // Options that must be set before the start: give a function.
    explicit Scene(void (*prepare)(Scene *) = nullptr);

    SimClient *connect(const Hello &);           // CHECKs nothing, eats the CONNACK
    SimClient *connect_web(const Hello &);
    SimClient *open(const Hello &, Listener *, const Addr &from); // leaves the CONNACK
    SimClient *open_web(const Hello &, const Addr &from, std::string_view host,
                        std::string_view headers); // leaves it too
    // From a client of its own ("pub", 5.0), which answers by itself.
    void publish(std::string_view topic, std::string_view payload, uint8_t qos = 0,
                 bool retain = false, std::string_view props = {});
    // Time passes in one step: what fell due meanwhile fires late, together.
    void jump(uint64_t ms) {
        world.now_ms += ms;
        world.settle();
    }
    Broker *broker() { return world.broker; }
    BrokerOptions &options() { return world.options; }
    ListenerPolicy &policy() { return *World::policy_of(plain); }

private:
    SimClient *make(const Hello &);
    SimClient *publisher_ = nullptr;
};

// What a Scene's listener is told if it is to take everybody.
inline ListenerPolicy welcoming() {
    ListenerPolicy p;
    p.anonymous = Anonymous::Yes;
    return p;
}

} // namespace sim
