// mqtt/connect.cpp -- the CONNECT packet of all versions, decoded in place.
//
//      +------+-------+-------+------------+-------+-----------+--------+
//      | name | level | flags | keep alive | props | client id |  will  |
//      +------+-------+-------+------------+-------+-----------+--------+
//      +-----------+----------+    props: 5.0 only. will: [props], topic,
//      | user name | password |    payload. The last three: if their flag
//      +-----------+----------+    is set.
//
// What is wrong is answered as Mosquitto does: a 3.x client is closed without
// a word (H-15), and so is one of 5.0 for a mistake in its will.
#include "mqtt/decode.h"
#include "mqtt/reader.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

// Connect flags.
static constexpr uint8_t FLAG_RESERVED = 0x01;
static constexpr uint8_t FLAG_CLEAN = 0x02;
static constexpr uint8_t FLAG_WILL = 0x04;
static constexpr uint8_t FLAG_WILL_QOS = 0x18;
static constexpr uint8_t FLAG_WILL_RETAIN = 0x20;
static constexpr uint8_t FLAG_PASSWORD = 0x40;
static constexpr uint8_t FLAG_USER_NAME = 0x80;

static constexpr uint8_t BRIDGE_BIT = 0x80; // of the level [BR-1]

static bool refuse_silently(ConnectError *e, const char *what) {
    *e = {.form = ConnectError::Silent, .what = what};
    return false;
}

static bool refuse_level(ConnectError *e) {
    *e = {.form = ConnectError::V3, .code3 = 1, .what = "unsupported protocol version"};
    return false;
}

static bool refuse_v5(ConnectError *e, Reason reason, const char *what) {
    *e = {.form = ConnectError::V5, .reason = reason, .what = what};
    return false;
}

static bool refuse_malformed(ConnectError *e, Version v, const char *what) {
    if (v != Version::V5) return refuse_silently(e, what);
    return refuse_v5(e, Reason::MalformedPacket, what);
}

// Name and level [MQTT-3.1.2-1, -2; H-16].
static bool read_version(Reader *r, Connect *out, ConnectError *e) {
    Bytes name = r->str16();
    uint8_t level = r->u8();
    bool is_old_name = name == "MQIsdp";
    if (!r->ok || (!is_old_name && name != "MQTT"))
        return refuse_silently(e, "protocol name is not MQTT");

    uint8_t plain = level & static_cast<uint8_t>(~BRIDGE_BIT);
    if (level == 5 && !is_old_name) {
        out->version = Version::V5;
    } else if (plain == (is_old_name ? 3 : 4)) {
        out->version = is_old_name ? Version::V31 : Version::V311;
        out->is_bridge = (level & BRIDGE_BIT) != 0;
    } else if (plain == 3 || plain == 4 || level == 5) {
        return refuse_level(e); // one name's level with the other name
    } else {
        return refuse_v5(e, Reason::UnsupportedProtocolVersion, "unsupported protocol version");
    }
    return true;
}

static bool read_flags(Reader *r, Connect *out, ConnectError *e) {
    uint8_t flags = r->u8();
    bool is_strict = out->version != Version::V31; // [V31-6]
    out->clean_start = flags & FLAG_CLEAN;
    out->has_will = flags & FLAG_WILL;
    out->has_user_name = flags & FLAG_USER_NAME;
    out->has_password = flags & FLAG_PASSWORD;
    out->will.qos = (flags & FLAG_WILL_QOS) >> 3;
    out->will.retain = flags & FLAG_WILL_RETAIN;
    out->keep_alive_s = r->u16();

    if (!r->ok) return refuse_malformed(e, out->version, "CONNECT is cut short");
    if (is_strict && (flags & FLAG_RESERVED)) // [MQTT-3.1.2-3]
        return refuse_malformed(e, out->version, "reserved connect flag is set");
    if (out->will.qos == 3) return refuse_silently(e, "will has QoS 3"); // [MQTT-3.1.2-12]
    if (is_strict && !out->has_will && (flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN)))
        return refuse_silently(e, "will flags without a will"); // [MQTT-3.1.2-11, -13]
    if (out->version != Version::V5 && out->has_password && !out->has_user_name)
        return refuse_silently(e, "password without a user name"); // 3.1.1 [MQTT-3.1.2-22]
    return true;
}

static bool read_props(Reader *r, Connect *out, ConnectError *e) {
    if (out->version != Version::V5) return true;
    Reason failure = props_decode(r, IN_CONNECT, &out->props);
    if (failure != Reason::Success) return refuse_v5(e, failure, "bad properties in CONNECT");
    if ((out->props.has & PROP_AUTH_DATA) && !(out->props.has & PROP_AUTH_METHOD))
        return refuse_v5(e, Reason::ProtocolError, "authentication data without a method");
    return true;
}

static bool read_client_id(Reader *r, Connect *out, ConnectError *e) {
    out->client_id = r->str16();
    if (!r->ok) return refuse_malformed(e, out->version, "CONNECT is cut short");
    if (utf8_valid(out->client_id)) return true;
    if (out->version != Version::V5) return refuse_silently(e, "client id is not UTF-8");
    return refuse_v5(e, Reason::ClientIdentifierNotValid, "client id is not UTF-8");
}

static bool read_will(Reader *r, Connect *out, ConnectError *e) {
    if (!out->has_will) {
        out->will = {}; // 3.1: flags without meaning
        return true;
    }
    Will *will = &out->will;
    if (out->version == Version::V5 &&
        props_decode(r, IN_WILL, &will->props) != Reason::Success)
        return refuse_silently(e, "bad will properties");
    will->topic = r->str16();
    will->payload = r->str16();
    if (!r->ok) return refuse_silently(e, "will is cut short"); // [MQTT-3.1.2-9]
    if (!topic_name_valid(will->topic)) return refuse_silently(e, "bad will topic");
    return true;
}

static bool read_login(Reader *r, Connect *out, ConnectError *e) {
    // In 3.1 the remaining length has the last word, not the flags [V31-6].
    bool is_lenient = out->version == Version::V31;
    if (is_lenient && r->at_end()) out->has_user_name = false;
    if (out->has_user_name) out->user_name = r->str16();
    if (is_lenient && r->at_end()) out->has_password = false;
    if (out->has_password) out->password = r->str16();

    if (!r->ok) return refuse_malformed(e, out->version, "CONNECT is cut short");
    if (!r->at_end()) return refuse_malformed(e, out->version, "CONNECT has bytes left over");
    if (!utf8_valid(out->user_name))
        return refuse_malformed(e, out->version, "user name is not UTF-8");
    return true;
}

bool connect_decode(Bytes body, uint8_t head, Connect *out, ConnectError *error) {
    Reader r(body);
    *out = {};
    *error = {};
    if (!read_version(&r, out, error)) return false;
    if (out->version != Version::V31 && (head & 0x0F))
        return refuse_malformed(error, out->version, "reserved header flags are set");
    return read_flags(&r, out, error) && read_props(&r, out, error) &&
           read_client_id(&r, out, error) && read_will(&r, out, error) &&
           read_login(&r, out, error);
}
