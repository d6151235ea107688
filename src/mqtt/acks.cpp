// mqtt/acks.cpp -- the short packets: PUBACK, PUBREC, PUBREL, PUBCOMP,
// PINGREQ, DISCONNECT and AUTH, decoded.
//
// In 3.x the four acknowledgements are a packet id and the others empty. In
// 5.0 reason code and properties may follow; left out they mean success and
// none.
#include "mqtt/decode.h"
#include "mqtt/reader.h"

// The reason codes of each packet [MQTT-3.4.2-1, -3.5.2-1, -3.6.2-1, -3.7.2-1,
// -3.14.2-1, -3.15.2-1].
static constexpr uint8_t PUBLISH_ANSWERS[] = {0x00, 0x10, 0x80, 0x83, 0x87,
                                              0x90, 0x91, 0x97, 0x99};
static constexpr uint8_t RELEASE_ANSWERS[] = {0x00, 0x92};
// From a client. 0x8C is in the list of all codes but not in DISCONNECT's own.
static constexpr uint8_t DISCONNECTS[] = {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x8C, 0x90,
                                          0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99};

template <size_t N> static bool is_one_of(Reason reason, const uint8_t (&codes)[N]) {
    for (uint8_t code : codes)
        if (static_cast<uint8_t>(reason) == code) return true;
    return false;
}

static bool ack_reason_allowed(PacketType type, Reason reason) {
    bool answers_publish = type == PacketType::Puback || type == PacketType::Pubrec;
    return answers_publish ? is_one_of(reason, PUBLISH_ANSWERS)
                           : is_one_of(reason, RELEASE_ANSWERS);
}

// What may follow at the end of a packet of 5.0.
static Reason read_tail(Reader *r, PropsPlace place, Props *out) {
    if (r->at_end()) return Reason::Success;
    Reason failure = props_decode(r, place, out);
    if (failure != Reason::Success) return failure;
    return r->at_end() ? Reason::Success : Reason::MalformedPacket;
}

Reason ack_decode(Bytes body, uint8_t head, Version v, Ack *out) {
    Reader r(body);
    *out = {};
    PacketType type = packet_type(head);
    uint8_t flags = type == PacketType::Pubrel ? 0x02 : 0x00; // [MQTT-3.6.1-1]
    out->id = r.u16();
    if (!r.ok) return Reason::MalformedPacket;
    if (v != Version::V31 && (head & 0x0F) != flags) // 3.1: unused [V31-5]
        return Reason::MalformedPacket;
    if (v != Version::V5 && !r.at_end()) return Reason::MalformedPacket;
    if (out->id == 0) return Reason::ProtocolError;
    if (r.at_end()) return Reason::Success;

    out->reason = static_cast<Reason>(r.u8());
    if (!ack_reason_allowed(type, out->reason)) return Reason::ProtocolError;
    return read_tail(&r, IN_ACK, &out->props);
}

Reason pingreq_decode(Bytes body, uint8_t head, Version v) {
    bool good_flags = v == Version::V31 || (head & 0x0F) == 0; // V31-5
    return body.empty() && good_flags ? Reason::Success : Reason::MalformedPacket;
}

Reason disconnect_decode(Bytes body, uint8_t head, Version v, Disconnect *out) {
    Reader r(body);
    *out = {};
    if (v != Version::V31 && (head & 0x0F)) return Reason::MalformedPacket; // [MQTT-3.14.1-1]
    if (r.at_end()) return Reason::Success;
    if (v != Version::V5) return Reason::MalformedPacket;

    out->reason = static_cast<Reason>(r.u8());
    if (!is_one_of(out->reason, DISCONNECTS)) return Reason::ProtocolError;
    return read_tail(&r, IN_DISCONNECT, &out->props);
}

Reason auth_decode(Bytes body, uint8_t head, Auth *out) {
    Reader r(body);
    *out = {};
    if (head & 0x0F) return Reason::MalformedPacket; // [MQTT-3.15.1-1]
    if (body.size() == 1) return Reason::MalformedPacket; // not a short form of AUTH
    if (!r.at_end()) {
        out->reason = static_cast<Reason>(r.u8());
        Reason failure = read_tail(&r, IN_AUTH, &out->props);
        if (failure != Reason::Success) return failure;
    }
    bool from_client = out->reason == Reason::ContinueAuthentication ||
                       out->reason == Reason::Reauthenticate;
    bool has_method = out->props.has & PROP_AUTH_METHOD; // [N5-80]
    return from_client && has_method ? Reason::Success : Reason::ProtocolError;
}
