// mqtt/packet.h -- versions, packet types and the fixed header.
#pragma once

#include "base/bytes.h"

enum class Version : uint8_t { V31 = 3, V311 = 4, V5 = 5 };

enum class PacketType : uint8_t {
    Reserved = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
};

constexpr uint32_t VARINT_MAX = 268435455;
constexpr uint32_t NO_EXPIRY = UINT32_MAX; // "never", and "no such property"

enum class Cut : uint8_t { Whole, NeedMore, Malformed };

struct PacketHead {
    uint8_t head = 0;        // first byte: type and flags
    uint8_t head_size = 0;   // bytes before the body, 2 to 5
    uint32_t body_size = 0;  // remaining length
};

inline PacketType packet_type(uint8_t head) { return static_cast<PacketType>(head >> 4); }

// Looks at the beginning of `in`. Whole: `out` is complete (the body may still
// be missing). NeedMore: more bytes are needed to know the length. Malformed:
// a remaining length of more than four bytes (a longer form than needed is
// accepted here: MQTT-1.5.5-1 binds the sender, and old clients do it).
Cut packet_head_decode(Bytes in, PacketHead *out);
