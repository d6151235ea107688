// mqtt/encode.h -- packets to clients: structs to bytes.
//
// Encoders write a whole packet into a Writer that the caller has given enough
// room (ENCODE_MAX or the matching *_size function). Texts longer than 65,535
// bytes are cut there.
#pragma once

#include "mqtt/packet.h"
#include "mqtt/reason.h"

// A place to write to. Overrunning it is our own mistake and caught by assert.
struct Writer {
    char *at = nullptr;
    char *end = nullptr;
};

// Bytes that suffice for every encoder below but publish and the variable
// parts of suback, unsuback and connack (see there).
constexpr size_t ENCODE_MAX = 64;

// Properties are written in this order and only if set [BEHAVIOURS: CONNACK].
struct Connack {
    bool session_present = false;
    Reason reason = Reason::Success;   // 3.x: translated to its code
    uint16_t server_keep_alive_s = 0;
    bool has_server_keep_alive = false;
    uint16_t topic_alias_maximum = 0;  // 0: left out
    Bytes assigned_client_id;          // empty: left out
    Bytes reason_string;               // empty: left out
    bool retain_available = true;      // written only when false
    uint32_t maximum_packet_size = 0;  // 0: left out
    uint16_t receive_maximum = 0;      // 0 (and 65535): left out
    uint8_t maximum_qos = 2;           // written only when below 2
    uint32_t session_expiry_s = 0;     // written only with has_session_expiry
    bool has_session_expiry = false;
};
// At most ENCODE_MAX bytes beyond the two texts.
void connack_encode(Writer *, Version, const Connack &);
// CONNACK of 3.x with a return code as it is.
void connack3_encode(Writer *, bool session_present, uint8_t code);
// The 3.x return code for a refusal.
uint8_t connack_code3(Reason);

// PUBACK, PUBREC, PUBREL, PUBCOMP: two bytes of body without a reason, three
// with one, more with a reason string (5.0 only; ENCODE_MAX beyond its size).
void ack_encode(Writer *, PacketType, Version, uint16_t id, Reason, Bytes reason_string);

// SUBACK and UNSUBACK; `codes` holds one Reason for each filter; what 3.x
// cannot say is translated (failure 0x80; in 3.1 the QoS asked for must have
// been put there by the caller; UNSUBACK of 3.x has no codes).
// ENCODE_MAX bytes beyond codes and reason string.
void suback_encode(Writer *, PacketType, Version, uint16_t id, Bytes codes,
                   Bytes reason_string);

void pingresp_encode(Writer *);

// 5.0 only; ENCODE_MAX bytes beyond the reason string.
void disconnect_encode(Writer *, Reason, Bytes reason_string);

// The head of a PUBLISH for one receiver: everything before the payload.
struct PublishHead {
    Bytes topic;                   // empty with a known alias
    Bytes props;                   // from publish_forward_props; 5.0 only
    uint32_t expiry_s = NO_EXPIRY; // with expiry_at: the seconds left
    uint16_t expiry_at = 0;        // ForwardProps::expiry_at
    uint32_t subscription_id = 0;  // 0: none
    uint16_t topic_alias = 0;      // 0: none
    uint16_t id = 0;
    uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
    uint32_t payload_size = 0;
};
// Size of the whole packet, payload included; more than VARINT_MAX + 5 cannot
// be sent. `head_size` gets the part before the payload.
uint64_t publish_size(const PublishHead &, Version, uint32_t *head_size);
// A Subscription Identifier as a property, for a block of properties that
// carries several [MQTT-3.3.4-4]. Writes at most SUBSCRIPTION_ID_MAX bytes,
// returns how many.
constexpr size_t SUBSCRIPTION_ID_MAX = 5;
uint32_t subscription_id_encode(char *out, uint32_t id);

// Writes head_size bytes. `id_at` gets the offset of the packet id in what was
// written (0: none), so that a shared frame can be patched per receiver.
void publish_encode(Writer *, const PublishHead &, Version, uint32_t *id_at);
