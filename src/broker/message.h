// broker/message.h -- an application message, held once however many get it.
//
// One allocation: header, topic, properties, payload.
//
//     +--------+-------------+------------+---------+
//     | header | topic       | properties | payload |
//     +--------+-------------+------------+---------+
//
// Owner: the count of holders in `blob` (retained store, queues, inflight
// windows, outboxes of large payloads). The last one to let go frees it.
#pragma once

#include "base/blob.h"
#include "base/bytes.h"
#include "base/pool.h"
#include "mqtt/packets.h"

// A client id, shared by its session and by the messages that it published.
struct Name {
    uint32_t refs = 1;
    uint16_t size = 0;
    char text[1] = ""; // `size` bytes, really
};
// Where names live: a pool for each size, in steps of 8 bytes.
constexpr size_t NAME_POOLS = 8;
constexpr size_t NAME_POOLED_MAX = POOL_BLOCK_MIN + (NAME_POOLS - 1) * 8;
struct NamePool {
    Pool pools[NAME_POOLS];
};
void name_pool_init(NamePool *);
void name_pool_end(NamePool *); // whatever is left in it

Name *name_new(NamePool *, Bytes text);
void name_release(Name *); // null is allowed
inline Name *name_hold(Name *n) {
    if (n) n->refs++;
    return n;
}
inline Bytes name_text(const Name *n) { return n ? Bytes(n->text, n->size) : Bytes(); }

constexpr uint64_t NEVER_MS = UINT64_MAX;

struct Message {
    Blob blob;                       // must be first: outboxes hold it
    uint32_t payload_size = 0;
    Name *source = nullptr;          // who published it; null: the broker itself
    uint64_t seq = 0;                // counts up with every message of the broker
    uint64_t expires_ms = NEVER_MS;  // boot time; Message Expiry Interval
    uint32_t props_size = 0;         // forwarded properties, without their length
    uint16_t topic_size = 0;
    uint16_t expiry_at = 0;          // ForwardProps::expiry_at
    uint8_t qos : 2 = 0;             // as published
    uint8_t retain : 1 = 0;          // as published
    char data[1] = "";               // topic, properties, payload, really
};
// Bytes of a Message before `data`.
constexpr size_t MESSAGE_HEAD = offsetof(Message, data);

// Counts of all messages of one broker, for $SYS and limits.
struct MessageStats {
    uint64_t count = 0;
    uint64_t bytes = 0; // payloads
};

// What a message is made from; everything is copied.
struct MessageParts {
    Bytes mount_point;   // put before the topic
    Bytes topic;
    Bytes payload;
    const Props *props = nullptr; // null: none
    Name *source = nullptr;       // a reference is taken
    uint8_t qos = 0;
    bool retain = false;
};
// Null when there is no memory for it. One reference, the caller's.
[[nodiscard]] Message *message_new(const MessageParts &, uint64_t seq, uint64_t now_ms,
                                   MessageStats *);
void message_free(Message *, MessageStats *);

inline Message *message_hold(Message *m) {
    m->blob.refs++;
    return m;
}
inline void message_release(Message *m, MessageStats *stats) {
    if (--m->blob.refs == 0) message_free(m, stats);
}
inline Bytes message_topic(const Message *m) { return {m->data, m->topic_size}; }
inline Bytes message_props(const Message *m) {
    return {m->data + m->topic_size, m->props_size};
}
inline Bytes message_payload(const Message *m) {
    return {m->data + m->topic_size + m->props_size, m->payload_size};
}
inline bool message_expired(const Message *m, uint64_t now_ms) {
    return m->expires_ms <= now_ms;
}
// What is left in whole seconds, at least 1 before it has expired; NO_EXPIRY:
// it never does.
uint32_t message_expiry_left_s(const Message *, uint64_t now_ms);
