// mqtt/subscribe.cpp -- SUBSCRIBE and UNSUBSCRIBE, decoded.
//
//      +--------+----------+--------------+---------+
//      | id u16 |  props   | filter str16 | options | ...  options: SUBSCRIBE
//      +--------+----------+--------------+---------+
//                5.0 only   one or more of the two
//
// All is checked before the first filter is acted on, so that a bad packet
// leaves no half of a subscription behind.
#include "mqtt/decode.h"
#include "mqtt/reader.h"
#include "mqtt/topic.h"

static constexpr uint8_t OPTION_QOS = 0x03;
static constexpr uint8_t OPTION_NO_LOCAL = 0x04;
static constexpr uint8_t OPTION_AS_PUBLISHED = 0x08;
static constexpr uint8_t OPTION_RETAIN_HANDLING = 0x30;
static constexpr uint8_t OPTION_RESERVED = 0xC0;

// Flags are 0010 [MQTT-3.8.1-1, -3.10.1-1]; 3.1 may add DUP [V31-5].
static bool flags_allowed(uint8_t head, Version v) {
    uint8_t flags = head & 0x0F;
    return flags == 0x02 || (v == Version::V31 && flags == 0x0A);
}

// Packet id and properties: what comes before the filters.
static Reason read_start(Reader *r, Version v, PropsPlace place, Subscribe *out) {
    out->id = r->u16();
    if (!r->ok || out->id == 0) return Reason::MalformedPacket;
    if (v == Version::V5) {
        Reason failure = props_decode(r, place, &out->props);
        if (failure != Reason::Success) return failure;
    }
    out->filters = r->in;
    return out->filters.empty() ? Reason::ProtocolError : Reason::Success; // [MQTT-3.8.3-2]
}

static Reason check_options(uint8_t options, Version v, bool is_shared) {
    if (v != Version::V5) // [MQTT-3.8.3-4] of 3.1.1
        return options <= 2 ? Reason::Success : Reason::MalformedPacket;
    if (options & OPTION_RESERVED) return Reason::MalformedPacket; // [MQTT-3.8.3-5]
    if ((options & OPTION_QOS) == 3) return Reason::ProtocolError;
    if ((options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING)
        return Reason::ProtocolError;
    if (is_shared && (options & OPTION_NO_LOCAL)) return Reason::ProtocolError; // [MQTT-3.8.3-4]
    return Reason::Success;
}

Reason subscribe_decode(Bytes body, uint8_t head, Version v, Subscribe *out) {
    Reader r(body);
    *out = {};
    if (!flags_allowed(head, v)) return Reason::MalformedPacket;
    Reason failure = read_start(&r, v, IN_SUBSCRIBE, out);
    while (failure == Reason::Success && !r.at_end()) {
        SharedFilter parsed;
        Bytes filter = r.str16();
        uint8_t options = r.u8();
        if (!r.ok || !topic_subscription_parse(filter, &parsed)) return Reason::MalformedPacket;
        failure = check_options(options, v, !parsed.share_name.empty());
        out->count++;
    }
    return failure;
}

Reason unsubscribe_decode(Bytes body, uint8_t head, Version v, Subscribe *out) {
    Reader r(body);
    *out = {};
    if (!flags_allowed(head, v)) return Reason::MalformedPacket;
    Reason failure = read_start(&r, v, IN_UNSUBSCRIBE, out);
    while (failure == Reason::Success && !r.at_end()) {
        SharedFilter parsed;
        Bytes filter = r.str16();
        if (!r.ok || !topic_subscription_parse(filter, &parsed)) return Reason::MalformedPacket;
        out->count++;
    }
    return failure;
}

bool subscribe_next(Bytes *filters, Version v, SubscribeFilter *out) {
    Reader r(*filters);
    *out = {};
    out->filter = r.str16();
    uint8_t options = r.u8();
    *filters = r.in;
    out->qos = options & OPTION_QOS;
    if (v == Version::V5) {
        out->no_local = options & OPTION_NO_LOCAL;
        out->retain_as_published = options & OPTION_AS_PUBLISHED;
        out->retain_handling = static_cast<RetainHandling>((options & OPTION_RETAIN_HANDLING) >> 4);
    }
    return r.ok;
}

bool unsubscribe_next(Bytes *filters, Bytes *out) {
    Reader r(*filters);
    *out = r.str16();
    *filters = r.in;
    return r.ok;
}
