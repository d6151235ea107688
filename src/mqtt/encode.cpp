// mqtt/encode.cpp -- the answers: CONNACK, acknowledgements, SUBACK, UNSUBACK,
// PINGRESP, DISCONNECT.
//
// Each works out its body's size first and then writes from front to back.
#include "mqtt/encode.h"

#include "mqtt/writer.h"

static size_t text_prop_size(Bytes text) { return text.empty() ? 0 : 3 + cut_text(text).size(); }

static void put_text_prop(Writer *w, unsigned id, Bytes text) {
    if (text.empty()) return;
    put_u8(w, id);
    put_text(w, text);
}

static void put_u8_prop(Writer *w, unsigned id, uint8_t value) {
    put_u8(w, id);
    put_u8(w, value);
}

static void put_u16_prop(Writer *w, unsigned id, uint16_t value) {
    put_u8(w, id);
    put_u16(w, value);
}

static void put_u32_prop(Writer *w, unsigned id, uint32_t value) {
    put_u8(w, id);
    put_u32(w, value);
}

// A property part that holds a reason string or nothing.
static size_t reason_props_size(Bytes reason_string) {
    size_t size = text_prop_size(reason_string);
    return varint_size(size) + size;
}

static void put_reason_props(Writer *w, Bytes reason_string) {
    put_varint(w, static_cast<uint32_t>(text_prop_size(reason_string)));
    put_text_prop(w, 0x1F, reason_string);
}

// ---- CONNACK ---------------------------------------------------------------

uint8_t connack_code3(Reason reason) {
    switch (reason) {
    case Reason::Success: return 0;
    case Reason::UnsupportedProtocolVersion: return 1;
    case Reason::ClientIdentifierNotValid: return 2;
    case Reason::UnspecifiedError:
    case Reason::ImplementationSpecificError:
    case Reason::ServerUnavailable:
    case Reason::ServerBusy:
    case Reason::ServerShuttingDown:
    case Reason::QuotaExceeded:
    case Reason::UseAnotherServer:
    case Reason::ServerMoved:
    case Reason::ConnectionRateExceeded: return 3;
    case Reason::BadUserNameOrPassword: return 4;
    default: return 5; // not authorised, and whatever else we do not allow
    }
}

void connack3_encode(Writer *w, bool session_present, uint8_t code) {
    put_head(w, PacketType::Connack, 0, 2);
    put_u8(w, session_present && code == 0); // [MQTT-3.2.2-4]
    put_u8(w, code);
}

// The properties of fixed size that come before and behind the two texts.
// CONNACK is compared byte for byte by Mosquitto's tests: keep the order.
static void put_limits_before(Writer *w, const Connack &c) {
    if (c.has_server_keep_alive) put_u16_prop(w, 0x13, c.server_keep_alive_s);
    if (c.topic_alias_maximum) put_u16_prop(w, 0x22, c.topic_alias_maximum);
}

static void put_limits_behind(Writer *w, const Connack &c) {
    if (!c.retain_available) put_u8_prop(w, 0x25, 0);
    if (c.maximum_packet_size) put_u32_prop(w, 0x27, c.maximum_packet_size);
    if (c.receive_maximum && c.receive_maximum != UINT16_MAX)
        put_u16_prop(w, 0x21, c.receive_maximum);
    if (c.maximum_qos < 2) put_u8_prop(w, 0x24, c.maximum_qos);
    if (c.has_session_expiry) put_u32_prop(w, 0x11, c.session_expiry_s);
}

static Bytes written(const char *start, const Writer &w) {
    return Bytes(start, static_cast<size_t>(w.at - start));
}

static void connack5_encode(Writer *w, const Connack &c) {
    char limits[ENCODE_MAX];
    Writer scratch = {limits, limits + sizeof limits};
    put_limits_before(&scratch, c);
    Bytes before = written(limits, scratch);
    const char *middle = scratch.at;
    put_limits_behind(&scratch, c);
    Bytes behind = written(middle, scratch);

    size_t props = before.size() + text_prop_size(c.assigned_client_id) +
                   text_prop_size(c.reason_string) + behind.size();
    put_head(w, PacketType::Connack, 0, 2 + varint_size(props) + props);
    put_u8(w, c.session_present && c.reason == Reason::Success); // [MQTT-3.2.2-6]
    put_u8(w, static_cast<unsigned>(c.reason));
    put_varint(w, static_cast<uint32_t>(props));
    put_bytes(w, before);
    put_text_prop(w, 0x12, c.assigned_client_id);
    put_text_prop(w, 0x1F, c.reason_string);
    put_bytes(w, behind);
}

void connack_encode(Writer *w, Version v, const Connack &c) {
    if (v == Version::V5) return connack5_encode(w, c);
    // 3.1 knows no Session Present [V31-3].
    connack3_encode(w, c.session_present && v == Version::V311, connack_code3(c.reason));
}

// ---- the others ------------------------------------------------------------

void ack_encode(Writer *w, PacketType type, Version v, uint16_t id, Reason reason,
                Bytes reason_string) {
    bool has_props = v == Version::V5 && !reason_string.empty();
    bool has_reason = has_props || (v == Version::V5 && reason != Reason::Success);
    size_t size = 2u + has_reason + (has_props ? reason_props_size(reason_string) : 0);
    put_head(w, type, type == PacketType::Pubrel ? 0x02 : 0x00, size);
    put_u16(w, id);
    if (has_reason) put_u8(w, static_cast<unsigned>(reason));
    if (has_props) put_reason_props(w, reason_string);
}

// 3.1.1 knows one failure [MQTT-3.9.3-2].
static void put_codes3(Writer *w, Bytes codes) {
    for (char code : codes) {
        bool failed = is_failure(static_cast<Reason>(code));
        put_u8(w, failed ? 0x80u : static_cast<uint8_t>(code));
    }
}

void suback_encode(Writer *w, PacketType type, Version v, uint16_t id, Bytes codes,
                   Bytes reason_string) {
    if (v != Version::V5 && type == PacketType::Unsuback) codes = {};
    size_t props = v == Version::V5 ? reason_props_size(reason_string) : 0;
    put_head(w, type, 0, 2 + props + codes.size());
    put_u16(w, id);
    if (v == Version::V5) {
        put_reason_props(w, reason_string);
        put_bytes(w, codes);
    } else {
        put_codes3(w, codes);
    }
}

void pingresp_encode(Writer *w) { put_head(w, PacketType::Pingresp, 0, 0); }

void disconnect_encode(Writer *w, Reason reason, Bytes reason_string) {
    bool has_props = !reason_string.empty();
    bool has_reason = has_props || reason != Reason::Success;
    size_t size = has_reason + (has_props ? reason_props_size(reason_string) : 0);
    put_head(w, PacketType::Disconnect, 0, size);
    if (has_reason) put_u8(w, static_cast<unsigned>(reason));
    if (has_props) put_reason_props(w, reason_string);
}

uint32_t subscription_id_encode(char *out, uint32_t id) {
    Writer w{out, out + SUBSCRIPTION_ID_MAX};
    put_u8(&w, 0x0B);
    put_varint(&w, id);
    return static_cast<uint32_t>(w.at - out);
}
