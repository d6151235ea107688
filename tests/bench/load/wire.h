// wire.h -- as much of MQTT 3.1.1, MQTT 5 and WebSocket as a client needs.
//
// Independent of src/ on purpose: a mistake that knut's codec makes in both
// directions would otherwise go unseen. Encoders append to a string; decoders
// give views into the bytes they were handed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

enum class Version : uint8_t { V311 = 4, V5 = 5 };

// The upper four bits of a packet's first byte.
enum PacketType : uint8_t {
    CONNECT = 1, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP,
    SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT
};

struct ConnectOptions {
    std::string_view client_id;
    Version version = Version::V311;
    bool is_clean = true;      // false: the session outlives the connection
    uint16_t keepalive_s = 3600;
};

struct PublishView {
    std::string_view topic;
    std::string_view payload;
    uint16_t id = 0;           // 0 exactly when qos is 0
    uint8_t qos = 0;
    bool is_dup = false;
    bool is_retained = false;
};

struct PublishOptions {
    Version version = Version::V311;
    uint8_t qos = 0;
    bool is_retained = false;
    uint16_t id = 0;
};

void put_u16(std::string *out, unsigned value);
void put_connect(std::string *out, const ConnectOptions &options);

// The filters are given in their encoded form (put_filter), so that a packet
// can be filled until it is large enough.
void put_filter(std::string *out, std::string_view filter, uint8_t qos);
void put_subscribe(std::string *out, Version version, uint16_t id, std::string_view filters);
void put_unsubscribe(std::string *out, Version version, uint16_t id, std::string_view filter);
void put_publish(std::string *out, const PublishOptions &options, std::string_view topic,
                 std::string_view payload);
void put_ack(std::string *out, PacketType type, uint16_t id);
void put_empty(std::string *out, PacketType type); // PINGREQ, DISCONNECT

// What the first bytes of a packet say. total == 0: more bytes are needed
// before the length is known; is_bad: no MQTT.
struct PacketHead {
    size_t total = 0;  // whole packet, its head included
    size_t head = 0;   // bytes before the body
    bool is_bad = false;
};
PacketHead packet_head(std::string_view in);

bool publish_view(uint8_t first, std::string_view body, Version version, PublishView *out);

// Receive Maximum of a CONNACK (MQTT 5), 65535 where it says nothing.
uint16_t connack_receive_max(std::string_view body, Version version);

// WebSocket. Key and answer are constants (the pair of RFC 6455's example), so
// no SHA-1 is needed.
void ws_put_upgrade(std::string *out);
bool ws_is_upgraded(std::string_view response); // complete head, blank line included

// Turns everything in *out from `from` on into one masked binary frame.
void ws_wrap(std::string *out, size_t from, uint32_t mask, uint8_t opcode);

// Reads frames as they come, in any pieces.
struct WsReader {
    uint64_t left = 0;      // payload bytes of the current frame still to come
    uint8_t head[14] = {};  // unfinished head
    uint8_t head_size = 0;
    uint8_t opcode = 0;     // of the current frame
    bool is_bad = false;
    bool is_closing = false; // a close frame came
    bool wants_pong = false;
};
// Moves the payload of all data frames to the front of the buffer and gives
// its length.
size_t ws_unwrap(WsReader *r, char *bytes, size_t size);
