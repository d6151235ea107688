// flow.h -- publishers with a window or a rate, and the account of every
// delivery.
//
// The first 16 bytes of a payload are little-endian
//
//      | u32 publisher | u32 sequence | u64 time it was due, ns | filler ...
//
// and the filler is a pattern that depends on its place and the sequence.
#pragma once

#include "loop.h"
#include "stats.h"

#include <cstdint>
#include <string>
#include <vector>

constexpr size_t STAMP_SIZE = 16;

// Owner: the scenario. A publisher has at most `window` messages under way:
// sent, and not yet delivered to all `receivers`; with receivers == 0, not yet
// acknowledged.
struct Publisher {
    Conn *conn = nullptr;
    uint32_t number = 0;         // in the payload
    uint32_t sent = 0;           // also the next sequence number
    uint32_t done = 0;           // all below are delivered to all
    uint32_t acked = 0;          // acknowledgements that came; QoS 1 and 2
    uint32_t window = 1;
    uint32_t receivers = 1;
    uint32_t limit = UINT32_MAX; // stops after so many
    uint8_t qos = 0;
    bool is_retained = false;
    bool is_ready = false;       // in Flow::ready
    bool is_paced = false;       // sends when the pacer says so, not by itself
    std::vector<uint32_t> left;  // deliveries missing, by sequence % window
    std::string topic;
    void (*name_topic)(Publisher *, std::string *topic) = nullptr; // a topic for each message
    std::string frame;           // the whole packet, to be patched
    size_t id_at = 0, stamp_at = 0; // in frame
};

// What one subscriber heard of one publisher.
struct Stream {
    uint32_t next = 0;           // sequence number expected
    uint64_t seen = 0;           // bit i: next - 1 - i came
    uint32_t came = 0;
};

struct Subscriber {
    Conn *conn = nullptr;
    uint32_t first = 0;          // publisher number of streams[0]
    bool is_counted = true;      // false: nobody waits for it, and it may lose
    bool is_sparse = false;      // hears only some of the messages
    std::vector<Stream> streams;
};

struct Account {
    uint64_t delivered = 0;      // to counted subscribers
    uint64_t lost = 0;
    uint64_t duplicates = 0;
    uint64_t disordered = 0;
    uint64_t corrupt = 0;        // payload is not what was sent
    uint64_t uncounted = 0;      // to those that are not counted
    uint64_t unacknowledged = 0;
};

struct Pacer {
    uint64_t interval_ns = 0;    // 0: off
    uint64_t due = 0;
    size_t turn = 0;
    std::vector<Publisher *> publishers; // in turn
};

struct Flow {
    Loop *loop = nullptr;
    bool is_stopped = false;     // nothing new is sent
    size_t payload_size = 64;
    std::vector<Publisher *> publishers; // by number
    std::vector<Subscriber *> subscribers;
    std::vector<Publisher *> ready;
    Pacer pacer;
    Account account;
    Histogram latency;
};

void flow_begin(Flow *f, Loop *l, size_t payload_size); // becomes the loop's user
void flow_add(Flow *f, Publisher *p);  // numbers it, prepares its frame
void flow_add(Flow *f, Subscriber *s);
void flow_start(Flow *f);              // all that are not paced begin to send
void flow_pace(Flow *f, double per_second);

// Stops sending and waits for what is under way; then counts what is missing.
void flow_stop(Flow *f, double seconds);

bool flow_is_valid(const Flow *f);
void flow_report(const Flow *f, Json *j); // account and faults, "valid"

// All connections of a flow use these.
extern const ConnEvents FLOW_EVENTS;

// A stretch of time that is measured.
struct Mark {
    uint64_t at = 0;
    uint64_t broker_ns = 0;
    uint64_t own_ns = 0;
    uint64_t machine_ns = 0;
    uint64_t delivered = 0;
    uint64_t sent = 0;
};
Mark flow_mark(const Flow *f);
void mark_report(const Mark &begin, const Mark &end, Json *j);
