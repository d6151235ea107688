// broker/state.h -- the broker room's structs: who owns what.
//
//     Conn (net) --user--> Client --session--> Session --traffic--> Traffic
//                             |                   |                  queue,
//                             +--extra--> Extra   +--name--> Name    inflight
//
// | object  | made by        | owner            | ends in                     |
// |---------|----------------|------------------|-----------------------------|
// | Client  | client_on_open | its Conn (user)  | client_end                  |
// | Session | handle_connect | Broker::sessions | session_end                 |
// | Offline | session_park   | its Session      | session_unpark, session_end |
// | Traffic | first need     | its Session      | when empty, session_end     |
// | Extra   | first need     | its Client       | when empty, client_end      |
//
// Exactly one Client points to a Session that is online, and it points back.
#pragma once

#include "base/hash.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/wheel.h"
#include "broker/broker.h"
#include "broker/message.h"
#include "broker/retained.h"
#include "broker/router.h"
#include "broker/stats.h"

struct Client;
struct Session;
struct Sys;

// What a Timer of Broker::wheel wakes.
enum TimerKind : uint8_t {
    TIMER_CONNECT,        // Client: no CONNECT in time
    TIMER_KEEP_ALIVE,     // Client
    TIMER_SESSION_EXPIRY, // Offline
    TIMER_WILL,           // Offline
    TIMER_SYS,            // Broker::sys_timer
    TIMER_RETAIN_EXPIRY,  // Broker::retain_timer
    TIMER_TRIM,           // Broker::trim_timer
};

// ---- one message on its way to one client ----------------------------------

enum class Stage : uint8_t {
    Queued,   // waits for the send window
    Sent,     // PUBLISH sent: waits for PUBACK or PUBREC
    Released, // PUBREL sent: waits for PUBCOMP; the message is let go
    Done,     // over; kept only because an older one is not
};

struct Entry {
    Message *message = nullptr;   // a reference; null when Released or Done
    uint32_t sub_id : 28 = 0;     // Subscription Identifier, or (is_shared) the
                                  // index of its Share in Traffic::shares
    uint32_t qos : 2 = 0;
    uint32_t retain : 1 = 0;
    uint32_t is_shared : 1 = 0;
    uint16_t id = 0;              // packet id; 0 while queued
    Stage stage = Stage::Queued;
    bool is_stale = false;        // sent in an earlier connection, not yet again
};
static_assert(sizeof(Entry) == 16);

// First in, first out; grows by doubling, gives back what it does not need.
struct Ring {
    Entry *data = nullptr;
    uint32_t head = 0;
    uint32_t size = 0;
    uint32_t capacity = 0; // power of two, or 0
};

// Why a shared message came to this session, while it waits here.
struct Share {
    Group *group = nullptr; // null: this slot is free
    uint32_t sub_id = 0;
};

struct Replay;    // replay.h: retained messages for a new subscription
struct ReplayMap;

// What a session has under way; null in the Session when there is nothing.
struct Traffic {
    Ring inflight;            // consecutive packet ids; Done ones in between
    Ring queue;               // waits, oldest first
    uint64_t inflight_bytes = 0;
    uint64_t queued_bytes = 0;
    uint32_t inflight_open = 0;  // sent in this connection and not Done: the
                                 // send quota in use [MQTT-4.9.0-2]
    uint32_t stale = 0;          // entries with is_stale
    uint32_t dropped = 0;        // since the last log line about it
    Vec<uint16_t> received;   // ids of QoS 2 messages not yet released, sorted
    Vec<Share> shares;
    Replay *replays = nullptr;   // oldest first
    Replay *last_replay = nullptr;
    ReplayMap *replay_map = nullptr; // those not cancelled; null when there is none
    Session *next_replay = nullptr; // on Broker::replays while is_replaying
    bool is_replaying = false;
};

// ---- sessions --------------------------------------------------------------

// What an absent client's session needs; only while it is absent.
struct Offline {
    Timer expiry;
    Timer will_timer;
    Session *session = nullptr;
    Message *will = nullptr;  // waits for its delay; a reference
};

struct Session {
    Subscriber subscriber;       // first: the router knows it as that
    Name *name = nullptr;        // the client id; a reference
    union {
        Client *client;          // while online
        Offline *offline;        // else
    };
    Traffic *traffic = nullptr;
    uint32_t expiry_s = 0;       // 0: ends with the connection; NO_EXPIRY: never
    uint16_t next_id = 1;        // packet id to try next
    bool is_online = false;
    bool is_bridge = false;      // no local and retain as published [BR-2]

    Session() : client(nullptr) {}
};
static_assert(sizeof(Session) <= 48);

inline Session *session_of(Subscriber *s) { return reinterpret_cast<Session *>(s); }
inline Bytes session_id(const Session *s) { return name_text(s->name); }

// ---- clients ---------------------------------------------------------------

constexpr int ALIASES_OUT_MAX = 10;

// Topic aliases of one connection [MQTT-3.3.2-7].
struct Aliases {
    Vec<Name *> in;     // index alias-1; null: not set. Topics with mount point
    Vec<Name *> out;    // index alias-1: topics that we gave an alias
};

// What few clients need.
struct Extra {
    char *partial = nullptr;     // an unfinished packet
    uint32_t partial_size = 0;   // bytes in it
    uint32_t partial_capacity = 0;
    Message *will = nullptr;     // a reference
    uint32_t will_delay_s = 0;
    Name *user_name = nullptr;   // a reference
    Aliases aliases;
    uint16_t aliases_out_max = 0; // aliases that we may make; 0: none
};

// Capabilities of a client that depend on its protocol version; the only
// places outside mqtt/ where a version shows.
enum ClientCaps : uint8_t {
    CAP_REASONS = 1,   // 5.0: DISCONNECT, reason codes, properties
    CAP_PROBLEM_INFO = 2, // wants reason strings
    CAP_SUBACK_FAILURE = 4, // not 3.1: SUBACK can say 0x80
};

struct Client {
    Conn *conn = nullptr;
    Session *session = nullptr;  // null until its CONNECT is accepted
    Extra *extra = nullptr;      // null when there is nothing to hold
    Timer timer;                 // connect time-out, then keep-alive
    uint32_t last_in_ms = 0;     // when the last packet came (boot time, wraps)
    uint32_t max_packet_size = UINT32_MAX; // the client's
    uint16_t send_quota = 65535; // min(Receive Maximum, max_inflight_messages)
    uint16_t keep_alive_s = 0;   // in force; 0: none
    Version version = Version::V311;
    uint8_t caps = 0;            // ClientCaps
    bool expiry_was_zero = false; // CONNECT's Session Expiry was 0 [N5-13]
    Reason refusal = Reason::Success; // why it is sent away, for a WebSocket's Close
};
static_assert(sizeof(Client) <= 64);

// ---- the broker ------------------------------------------------------------

struct SessionById {
    static bool equal(Session *s, Bytes id) { return session_id(s) == id; }
};

// One message's frames, encoded once for each kind of receiver.
struct Frame {
    uint32_t size = 0;      // of the whole packet; 0: not encoded yet
    uint32_t head_size = 0; // before the payload
    uint32_t id_at = 0;     // offset of the packet id; 0: none
    uint32_t capacity = 0;  // of `data`, which is kept for the next message
    char *data = nullptr;   // head, and the payload too if that is small
};
constexpr uint32_t FRAME_COPY_MAX = 2048;  // larger packets: payload by reference
struct FrameSet {
    Message *message = nullptr;      // whose frames these are; no reference
    uint64_t seq = 0;
    Frame frames[2][3][2];           // [properties][qos][retain]
};

struct Broker {
    BrokerSetup setup;
    const BrokerOptions *options = nullptr;
    Net *net = nullptr;
    Store *store = nullptr;
    Pool client_pool;
    Pool session_pool;
    NamePool names;
    Map<Session *, Bytes, SessionById> sessions;
    Router *router = nullptr;
    Retained *retained = nullptr;
    MessageStats messages;
    Wheel wheel;
    Timer sys_timer, retain_timer, trim_timer;
    Sys *sys = nullptr;              // sys.cpp; null without $SYS
    Stats stats;
    uint64_t seq = 0;                // of the last message
    uint64_t started_ms = 0;
    uint32_t clients_online = 0;     // sessions with a Client
    uint64_t unauthenticated_bytes = 0; // partial packets before CONNECT
    Session *replays = nullptr;      // sessions whose replay ran out of budget
    Vec<Filter *> matches;           // scratch of publish_message
    FrameSet frames;
    Vec<char> log_lines;             // for `log_dest topic`, until the turn ends
    bool is_stopping = false;
};

inline Broker *broker_of(const Conn *c) { return static_cast<Broker *>(conn_net(c)->owner); }
inline Broker *broker_of(const Client *c) { return broker_of(c->conn); }
inline const ListenerPolicy *policy_of(const Client *c) {
    return static_cast<const ListenerPolicy *>(c->conn->listener->user);
}
inline Client *session_client(const Session *s) { return s->is_online ? s->client : nullptr; }
inline uint64_t broker_now(const Broker *b) { return b->net->now_ms; }
inline bool client_explains(const Client *c) {
    return c->caps & CAP_REASONS && c->caps & CAP_PROBLEM_INFO;
}
