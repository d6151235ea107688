// mqtt/decode.h -- packets from clients: bytes to structs.
//
// A decoder is given the body (what follows the remaining length) and the
// first byte of the packet. It returns Reason::Success, or the reason code for
// which the connection is to be closed (5.0 section 4.13; a 3.x client is
// closed without a word); then `*out` is unspecified. A packet must be
// consumed exactly: bytes left over are malformed. Every view points into the
// body: copy what must outlive the call.
#pragma once

#include "mqtt/packet.h"
#include "mqtt/props.h"
#include "mqtt/reason.h"

struct Will {
    Bytes topic;
    Bytes payload;
    Props props;
    uint8_t qos = 0;
    bool retain = false;
};

struct Connect {
    Version version = Version::V311;
    bool is_bridge = false;     // 3.x: bit 7 of the level [BR-1]
    bool clean_start = false;   // 3.x: Clean Session
    bool has_will = false;
    bool has_user_name = false;
    bool has_password = false;
    uint16_t keep_alive_s = 0;
    Bytes client_id;
    Bytes user_name;
    Bytes password;
    Will will;
    Props props;
};

// How a CONNECT that cannot be decoded is to be answered.
struct ConnectError {
    enum Form : uint8_t {
        Silent,   // close without a packet
        V3,       // CONNACK in the form of 3.x with `code3`
        V5,       // CONNACK in the form of 5.0 with `reason`
    } form = Silent;
    uint8_t code3 = 0;
    Reason reason = Reason::Success;
    const char *what = "";  // for the log, never null
};

// Decodes a CONNECT. `head` is the packet's first byte. False: see `*error`.
[[nodiscard]] bool connect_decode(Bytes body, uint8_t head, Connect *out,
                                  ConnectError *error);

struct Publish {
    Bytes topic;      // empty only in 5.0 with an alias
    Bytes payload;    // may be empty: clears a retained message
    Props props;
    uint16_t id = 0;  // 0 exactly when qos == 0
    uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
};
[[nodiscard]] Reason publish_decode(Bytes body, uint8_t head, Version, Publish *out);

// PUBACK, PUBREC, PUBREL, PUBCOMP. `type` is taken from `head`.
struct Ack {
    uint16_t id = 0;
    Reason reason = Reason::Success;
    Props props;
};
[[nodiscard]] Reason ack_decode(Bytes body, uint8_t head, Version, Ack *out);

enum class RetainHandling : uint8_t { Always = 0, IfNew = 1, Never = 2 };

struct SubscribeFilter {
    Bytes filter;   // as sent, `$share/...` included; valid by topic.h
    uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    RetainHandling retain_handling = RetainHandling::Always;
};

// SUBSCRIBE and UNSUBSCRIBE: the packet is validated whole by the decoder;
// then the filters are taken one by one from `filters` with
// subscribe_next/unsubscribe_next, which cannot fail.
struct Subscribe {
    uint16_t id = 0;
    Props props;
    Bytes filters;   // undecoded, known to be valid
    uint32_t count = 0;
};
[[nodiscard]] Reason subscribe_decode(Bytes body, uint8_t head, Version, Subscribe *out);
[[nodiscard]] Reason unsubscribe_decode(Bytes body, uint8_t head, Version, Subscribe *out);
// False at the end.
bool subscribe_next(Bytes *filters, Version, SubscribeFilter *out);
bool unsubscribe_next(Bytes *filters, Bytes *out);

[[nodiscard]] Reason pingreq_decode(Bytes body, uint8_t head, Version);

struct Disconnect {
    Reason reason = Reason::Success;
    Props props;
};
[[nodiscard]] Reason disconnect_decode(Bytes body, uint8_t head, Version, Disconnect *out);

struct Auth {
    Reason reason = Reason::Success;
    Props props;
};
[[nodiscard]] Reason auth_decode(Bytes body, uint8_t head, Auth *out);
