// mqtt/publish.cpp -- the PUBLISH packet, both ways.
//
//      +------+---------+-------------+--------+------------+---------+
//      | head | rem.len | topic str16 | id u16 | properties | payload |
//      +------+---------+-------------+--------+------------+---------+
//       DUP QoS RETAIN                 QoS > 0   5.0 only
#include "mqtt/reader.h"
#include "mqtt/topic.h"
#include "mqtt/writer.h"

#include "mqtt/decode.h"

static constexpr unsigned FLAG_DUP = 0x08;
static constexpr unsigned FLAG_RETAIN = 0x01;

// No name at all is for 5.0 with an alias.
static Reason check_topic(const Publish &p, Version v) {
    if (!p.topic.empty())
        return topic_name_valid(p.topic) ? Reason::Success : Reason::MalformedPacket;
    if (v != Version::V5) return Reason::MalformedPacket; // [MQTT-4.7.3-1]
    return p.props.has & PROP_TOPIC_ALIAS ? Reason::Success : Reason::ProtocolError;
}

Reason publish_decode(Bytes body, uint8_t head, Version v, Publish *out) {
    Reader r(body);
    *out = {};
    out->dup = head & FLAG_DUP;
    out->qos = head >> 1 & 0x03;
    out->retain = head & FLAG_RETAIN;
    out->topic = r.str16();
    out->id = out->qos > 0 ? r.u16() : uint16_t{0}; // [MQTT-2.2.1-2]

    if (!r.ok || out->qos == 3) return Reason::MalformedPacket;        // [MQTT-3.3.1-4]
    if (out->dup && out->qos == 0) return Reason::MalformedPacket;     // [MQTT-3.3.1-2]
    if (out->qos > 0 && out->id == 0) return Reason::ProtocolError;    // [MQTT-2.2.1-3]
    if (v == Version::V5) {
        Reason failure = props_decode(&r, IN_PUBLISH, &out->props);
        if (failure != Reason::Success) return failure;
    }
    out->payload = r.rest();
    return check_topic(*out, v);
}

// ---- to subscribers --------------------------------------------------------

static size_t props_size(const PublishHead &h) {
    size_t size = h.props.size();
    if (h.topic_alias) size += 3;
    if (h.subscription_id) size += 1 + varint_size(h.subscription_id);
    return size;
}

// Remaining length without the payload.
static uint64_t body_head_size(const PublishHead &h, Version v) {
    uint64_t size = 2 + cut_text(h.topic).size() + (h.qos > 0 ? 2 : 0);
    if (v == Version::V5) size += varint_size(props_size(h)) + props_size(h);
    return size;
}

uint64_t publish_size(const PublishHead &h, Version v, uint32_t *head_size) {
    uint64_t before_payload = body_head_size(h, v);
    uint64_t body_size = before_payload + h.payload_size;
    uint64_t fixed = 1 + varint_size(body_size);
    *head_size = static_cast<uint32_t>(fixed + before_payload);
    return fixed + body_size;
}

static void put_props(Writer *w, const PublishHead &h) {
    put_varint(w, static_cast<uint32_t>(props_size(h)));
    if (h.topic_alias) {
        put_u8(w, 0x23);
        put_u16(w, h.topic_alias);
    }
    if (h.subscription_id) {
        put_u8(w, 0x0B);
        put_varint(w, h.subscription_id);
    }
    char *props = w->at;
    put_bytes(w, h.props);
    if (h.expiry_at == 0) return;
    Writer expiry = {props + h.expiry_at - 1, w->at};
    put_u32(&expiry, h.expiry_s); // [MQTT-3.3.2-6]
}

void publish_encode(Writer *w, const PublishHead &h, Version v, uint32_t *id_at) {
    const char *start = w->at;
    unsigned flags = (h.dup ? FLAG_DUP : 0) | static_cast<unsigned>(h.qos) << 1 |
                     (h.retain ? FLAG_RETAIN : 0);
    put_head(w, PacketType::Publish, flags, body_head_size(h, v) + h.payload_size);
    put_text(w, h.topic);
    *id_at = h.qos > 0 ? static_cast<uint32_t>(w->at - start) : 0;
    if (h.qos > 0) put_u16(w, h.id);
    if (v == Version::V5) put_props(w, h);
}
