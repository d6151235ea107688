// mqtt/props.cpp -- reading the properties of 5.0, and handing them on.
//
// One table says what there is; nothing else here knows a property by name but
// store(), which files the values that the broker looks at.
#include "mqtt/props.h"

#include "mqtt/reader.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "mqtt/writer.h"

enum class PropType : uint8_t { Byte, Two, Four, Varint, Text, Binary, TextPair };

struct PropRule {
    uint8_t id;
    PropType type;
    uint32_t bit;         // PropBit
    uint16_t places;      // PropsPlace bits: where a client may send it
    uint32_t min, max;    // for numbers
    Reason out_of_range = Reason::ProtocolError;
};

static constexpr uint16_t IN_MESSAGE = IN_PUBLISH | IN_WILL;
static constexpr uint16_t IN_LOGIN = IN_CONNECT | IN_AUTH;
static constexpr uint16_t IN_ANSWER = IN_ACK | IN_DISCONNECT | IN_AUTH;
static constexpr uint16_t ANYWHERE = 0xFFFF;
static constexpr uint16_t SERVER_ONLY = 0;
static constexpr uint32_t MAX16 = UINT16_MAX;
static constexpr uint32_t MAX32 = UINT32_MAX;

// clang-format off
static constexpr PropRule RULES[] = {
    {0x01, PropType::Byte, PROP_PAYLOAD_FORMAT, IN_MESSAGE, 0, 1},
    {0x02, PropType::Four, PROP_MESSAGE_EXPIRY, IN_MESSAGE, 0, MAX32},
    {0x03, PropType::Text, PROP_CONTENT_TYPE, IN_MESSAGE, 0, 0},
    {0x08, PropType::Text, PROP_RESPONSE_TOPIC, IN_MESSAGE, 0, 0},
    {0x09, PropType::Binary, PROP_CORRELATION_DATA, IN_MESSAGE, 0, 0},
    {0x0B, PropType::Varint, PROP_SUBSCRIPTION_ID, IN_SUBSCRIBE, 1, VARINT_MAX},
    {0x11, PropType::Four, PROP_SESSION_EXPIRY, IN_CONNECT | IN_DISCONNECT, 0, MAX32},
    {0x12, PropType::Text, PROP_ASSIGNED_CLIENT_ID, SERVER_ONLY, 0, 0},
    {0x13, PropType::Two, PROP_SERVER_KEEP_ALIVE, SERVER_ONLY, 0, MAX16},
    {0x15, PropType::Text, PROP_AUTH_METHOD, IN_LOGIN, 0, 0},
    {0x16, PropType::Binary, PROP_AUTH_DATA, IN_LOGIN, 0, 0},
    {0x17, PropType::Byte, PROP_REQUEST_PROBLEM_INFO, IN_CONNECT, 0, 1},
    {0x18, PropType::Four, PROP_WILL_DELAY, IN_WILL, 0, MAX32},
    {0x19, PropType::Byte, PROP_REQUEST_RESPONSE_INFO, IN_CONNECT, 0, 1},
    {0x1A, PropType::Text, PROP_RESPONSE_INFO, SERVER_ONLY, 0, 0},
    {0x1C, PropType::Text, PROP_SERVER_REFERENCE, SERVER_ONLY, 0, 0},
    {0x1F, PropType::Text, PROP_REASON_STRING, IN_ANSWER, 0, 0},
    {0x21, PropType::Two, PROP_RECEIVE_MAXIMUM, IN_CONNECT, 1, MAX16},
    {0x22, PropType::Two, PROP_TOPIC_ALIAS_MAXIMUM, IN_CONNECT, 0, MAX16},
    {0x23, PropType::Two, PROP_TOPIC_ALIAS, IN_PUBLISH, 1, MAX16, Reason::TopicAliasInvalid},
    {0x24, PropType::Byte, PROP_MAXIMUM_QOS, SERVER_ONLY, 0, 1},
    {0x25, PropType::Byte, PROP_RETAIN_AVAILABLE, SERVER_ONLY, 0, 1},
    {0x26, PropType::TextPair, PROP_USER_PROPERTY, ANYWHERE, 0, 0},
    {0x27, PropType::Four, PROP_MAXIMUM_PACKET_SIZE, IN_CONNECT, 1, MAX32},
    {0x28, PropType::Byte, PROP_WILDCARD_AVAILABLE, SERVER_ONLY, 0, 1},
    {0x29, PropType::Byte, PROP_SUBSCRIPTION_ID_AVAILABLE, SERVER_ONLY, 0, 1},
    {0x2A, PropType::Byte, PROP_SHARED_AVAILABLE, SERVER_ONLY, 0, 1},
};
// clang-format on

static constexpr uint32_t REPEATABLE = PROP_USER_PROPERTY;
static constexpr size_t ID_LIMIT = 0x2B;

// From identifier to row + 1; 0: no such property.
struct RuleIndex {
    uint8_t row[ID_LIMIT] = {};
    constexpr RuleIndex() {
        uint8_t n = 0;
        for (const PropRule &rule : RULES) row[rule.id] = ++n;
    }
};
static constexpr RuleIndex INDEX;

static const PropRule *find_rule(uint32_t id) {
    if (id >= ID_LIMIT || INDEX.row[id] == 0) return nullptr;
    return &RULES[INDEX.row[id] - 1];
}

struct PropValue {
    uint32_t number = 0;
    Bytes bytes; // also the name of a pair
    bool text_ok = true;
};

static PropValue read_value(Reader *r, PropType type) {
    PropValue v;
    switch (type) {
    case PropType::Byte: v.number = r->u8(); break;
    case PropType::Two: v.number = r->u16(); break;
    case PropType::Four: v.number = r->u32(); break;
    case PropType::Varint: v.number = r->varint(); break;
    case PropType::Binary: v.bytes = r->str16(); break;
    case PropType::Text:
        v.bytes = r->str16();
        v.text_ok = utf8_valid(v.bytes);
        break;
    case PropType::TextPair: // [MQTT-1.5.7-1]
        v.bytes = r->str16();
        v.text_ok = utf8_valid(v.bytes) && utf8_valid(r->str16());
        break;
    }
    return v;
}

static bool is_number(PropType type) { return type <= PropType::Varint; }

static void store(uint32_t bit, const PropValue &v, Props *out) {
    uint16_t number16 = static_cast<uint16_t>(v.number);
    out->has |= bit;
    switch (bit) {
    case PROP_MESSAGE_EXPIRY: out->message_expiry_s = v.number; break;
    case PROP_SESSION_EXPIRY: out->session_expiry_s = v.number; break;
    case PROP_WILL_DELAY: out->will_delay_s = v.number; break;
    case PROP_SUBSCRIPTION_ID: out->subscription_id = v.number; break;
    case PROP_MAXIMUM_PACKET_SIZE: out->maximum_packet_size = v.number; break;
    case PROP_RECEIVE_MAXIMUM: out->receive_maximum = number16; break;
    case PROP_TOPIC_ALIAS_MAXIMUM: out->topic_alias_maximum = number16; break;
    case PROP_TOPIC_ALIAS: out->topic_alias = number16; break;
    case PROP_REQUEST_PROBLEM_INFO: out->request_problem_info = v.number != 0; break;
    case PROP_REQUEST_RESPONSE_INFO: out->request_response_info = v.number != 0; break;
    case PROP_RESPONSE_TOPIC: out->response_topic = v.bytes; break;
    case PROP_AUTH_METHOD: out->auth_method = v.bytes; break;
    case PROP_AUTH_DATA: out->auth_data = v.bytes; break;
    case PROP_REASON_STRING: out->reason_string = v.bytes; break;
    default: break; // the broker hands the others on, or the client gets them
    }
}

// By the text malformed, but Mosquitto's clients know this answer.
static Reason misplaced(PropsPlace place) {
    return place == IN_SUBSCRIBE || place == IN_UNSUBSCRIBE ? Reason::MalformedPacket
                                                            : Reason::ProtocolError;
}

static Reason read_property(Reader *r, PropsPlace place, Props *out) {
    const PropRule *rule = find_rule(r->varint());
    if (!rule) return Reason::MalformedPacket;
    if (!(rule->places & place)) return misplaced(place);
    if (out->has & rule->bit & ~REPEATABLE) return Reason::ProtocolError;

    PropValue v = read_value(r, rule->type);
    if (!r->ok || !v.text_ok) return Reason::MalformedPacket;
    if (is_number(rule->type) && (v.number < rule->min || v.number > rule->max))
        return rule->out_of_range;
    if (rule->bit == PROP_RESPONSE_TOPIC && !topic_name_valid(v.bytes))
        return Reason::ProtocolError; // [MQTT-3.3.2-14]
    store(rule->bit, v, out);
    return Reason::Success;
}

Reason props_decode(Reader *in, PropsPlace place, Props *out) {
    out->raw = in->bytes(in->varint());
    if (!in->ok) return Reason::MalformedPacket;
    Reader r(out->raw);
    while (!r.at_end()) {
        Reason failure = read_property(&r, place, out);
        if (failure != Reason::Success) return failure;
    }
    return Reason::Success;
}

// ---- to subscribers --------------------------------------------------------

static constexpr uint32_t KEPT_BACK = PROP_TOPIC_ALIAS | PROP_SUBSCRIPTION_ID | PROP_WILL_DELAY;
static constexpr size_t EXPIRY_AT_MAX = 65534; // offset + 1 fits 16 bits

// Takes the next property off `r` whole, identifier included.
static Bytes next_property(Reader *r, uint32_t *bit) {
    Bytes before = r->in;
    const PropRule *rule = find_rule(r->u8());
    if (!rule) { // cannot happen after props_decode
        r->fail();
        return {};
    }
    *bit = rule->bit;
    switch (rule->type) {
    case PropType::Byte: r->bytes(1); break;
    case PropType::Two: r->bytes(2); break;
    case PropType::Four: r->bytes(4); break;
    case PropType::Varint: r->varint(); break;
    case PropType::Text:
    case PropType::Binary: r->str16(); break;
    case PropType::TextPair: r->str16(), r->str16(); break;
    }
    return slice(before, 0, before.size() - r->in.size());
}

// Copies what is neither kept back nor in `left_out` behind `size` bytes that
// are there already.
static ForwardProps copy_props(Bytes raw, uint32_t left_out, ForwardProps f, char *out) {
    Reader r(raw);
    while (!r.at_end()) {
        uint32_t bit = 0;
        Bytes one = next_property(&r, &bit);
        if (one.empty() || (bit & left_out)) continue;
        if (bit == PROP_MESSAGE_EXPIRY && f.size < EXPIRY_AT_MAX)
            f.expiry_at = static_cast<uint16_t>(f.size + 2);
        if (out) memcpy(out + f.size, one.data(), one.size());
        f.size += static_cast<uint32_t>(one.size());
    }
    return f;
}

ForwardProps publish_forward_props(const Props &props, char *out) {
    if (props.raw.empty()) return {};
    ForwardProps f = copy_props(props.raw, KEPT_BACK, {}, nullptr);
    if (!(props.has & PROP_MESSAGE_EXPIRY) || f.expiry_at)
        return out ? copy_props(props.raw, KEPT_BACK, {}, out) : f;

    // The expiry lies too far behind for its offset: it goes to the front.
    ForwardProps front = {.size = 5, .expiry_at = 2};
    if (out) {
        Writer w = {out, out + front.size};
        put_u8(&w, 0x02);
        put_u32(&w, props.message_expiry_s);
    }
    return copy_props(props.raw, KEPT_BACK | PROP_MESSAGE_EXPIRY, front, out);
}
