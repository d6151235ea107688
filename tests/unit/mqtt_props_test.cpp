// Properties: the table of the standard, written down a second time.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

enum Place { InConnect, InWill, InPublish, InPuback, InPubrec, InPubrel, InPubcomp, InSubscribe,
             InUnsubscribe, InDisconnect, InAuth, PLACES };

// C CONNECT, W Will, P PUBLISH, a PUBACK, r PUBREC, l PUBREL, c PUBCOMP,
// S SUBSCRIBE, U UNSUBSCRIBE, D DISCONNECT, A AUTH; from a client.
const char LETTERS[] = "CWParlcSUDA";

struct Row {
    const char *name;
    const char *good;                   // identifier and a value
    const char *places;
    std::vector<const char *> bad = {}; // out of range
};

const Row TABLE[] = {
    {"Payload Format Indicator", "01 01", "PW", {"01 02", "01 FF"}},
    {"Message Expiry Interval", "02 00 00 00 00", "PW"},
    {"Content Type", "03 00 01 61", "PW"},
    {"Response Topic", "08 00 01 61", "PW", {"08 00 01 23", "08 00 03 61 2F 2B", "08 00 00"}},
    {"Correlation Data", "09 00 02 00 FF", "PW"},
    {"Subscription Identifier", "0B FF FF FF 7F", "S", {"0B 00"}},
    {"Session Expiry Interval", "11 FF FF FF FF", "CD"},
    {"Assigned Client Identifier", "12 00 01 61", ""},
    {"Server Keep Alive", "13 00 01", ""},
    {"Authentication Method", "15 00 01 61", "CA"},
    {"Authentication Data", "16 00 01 00", "CA"},
    {"Request Problem Information", "17 01", "C", {"17 02"}},
    {"Will Delay Interval", "18 00 00 00 01", "W"},
    {"Request Response Information", "19 00", "C", {"19 02"}},
    {"Response Information", "1A 00 01 61", ""},
    {"Server Reference", "1C 00 01 61", ""},
    {"Reason String", "1F 00 01 61", "arlcDA"},
    {"Receive Maximum", "21 00 01", "C", {"21 00 00"}},
    {"Topic Alias Maximum", "22 00 00", "C"},
    {"Topic Alias", "23 00 01", "P", {"23 00 00"}},
    {"Maximum QoS", "24 01", ""},
    {"Retain Available", "25 01", ""},
    {"User Property", "26 00 01 61 00 01 62", "CWParlcSUDA"},
    {"Maximum Packet Size", "27 00 00 00 01", "C", {"27 00 00 00 00"}},
    {"Wildcard Subscription Available", "28 01", ""},
    {"Subscription Identifier Available", "29 01", ""},
    {"Shared Subscription Available", "2A 01", ""},
};

const std::string METHOD = hex("15 00 01 6D");

Reason connect_with(const std::string &connect_props, bool has_will, const std::string &will) {
    std::string body = hex("00 04 4D 51 54 54 05") + hex(has_will ? "06" : "02") +
                       hex("00 3C") + props(connect_props) + hex("00 01 61");
    if (has_will) body += props(will) + hex("00 01 74 00 00");
    Exact in(body);
    Connect c;
    ConnectError e;
    if (connect_decode(in.bytes, 0x10, &c, &e)) return Reason::Success;
    if (has_will) CHECK(e.form == ConnectError::Silent);
    return e.form == ConnectError::V5 ? e.reason : Reason::UnspecifiedError;
}

// What a packet with these properties, and else without fault, is answered.
Reason decode_with(Place place, const std::string &raw) {
    std::string p = props(raw);
    Ack ack;
    Publish publish;
    Subscribe subscribe;
    Disconnect disconnect;
    Auth auth;
    switch (place) {
    case InConnect: return connect_with(raw, false, "");
    case InWill: return connect_with("", true, raw);
    case InPublish:
        return publish_decode(Exact(str16("t") + p).bytes, 0x30, Version::V5, &publish);
    case InPuback: return ack_decode(Exact(hex("00 01 00") + p).bytes, 0x40, Version::V5, &ack);
    case InPubrec: return ack_decode(Exact(hex("00 01 00") + p).bytes, 0x50, Version::V5, &ack);
    case InPubrel: return ack_decode(Exact(hex("00 01 00") + p).bytes, 0x62, Version::V5, &ack);
    case InPubcomp: return ack_decode(Exact(hex("00 01 00") + p).bytes, 0x70, Version::V5, &ack);
    case InSubscribe:
        return subscribe_decode(Exact(hex("00 01") + p + str16("a") + hex("00")).bytes, 0x82,
                                Version::V5, &subscribe);
    case InUnsubscribe:
        return unsubscribe_decode(Exact(hex("00 01") + p + str16("a")).bytes, 0xA2, Version::V5,
                                  &subscribe);
    case InDisconnect:
        return disconnect_decode(Exact(hex("00") + p).bytes, 0xE0, Version::V5, &disconnect);
    case InAuth: return auth_decode(Exact(hex("18") + p).bytes, 0xF0, &auth);
    case PLACES: break;
    }
    return Reason::UnspecifiedError;
}

// What a packet must hold besides, for the property to be the only question.
std::string company(Place place, const Row &row) {
    bool is_method = row.good[0] == '1' && row.good[1] == '5';
    bool is_data = row.good[0] == '1' && row.good[1] == '6';
    return !is_method && (place == InAuth || (place == InConnect && is_data)) ? METHOD : "";
}

bool allowed(Place place, const Row &row) { return strchr(row.places, LETTERS[place]); }

// Will errors are closed without a word.
Reason or_silent(Place place, Reason r) { return place == InWill ? Reason::UnspecifiedError : r; }

template <typename F> void for_all_pairs(F check) {
    for (const Row &row : TABLE)
        for (int i = 0; i < PLACES; i++) {
            CAPTURE(std::string(row.name));
            CAPTURE(LETTERS[i]);
            check(row, static_cast<Place>(i));
        }
}

} // namespace

TEST_CASE("each property is accepted in its packets and refused in all others") {
    for_all_pairs([](const Row &row, Place place) {
        Reason reason = decode_with(place, company(place, row) + hex(row.good));
        Reason refused = place == InSubscribe || place == InUnsubscribe ? Reason::MalformedPacket
                                                                        : Reason::ProtocolError;
        CHECK(reason == (allowed(place, row) ? Reason::Success : or_silent(place, refused)));
    });
}

TEST_CASE("a repeated property is a protocol error, but for User Property") {
    for_all_pairs([](const Row &row, Place place) {
        if (!allowed(place, row)) return;
        std::string raw = company(place, row) + hex(row.good) + hex(row.good);
        bool is_repeatable = row.good[0] == '2' && row.good[1] == '6';
        Reason refused = or_silent(place, Reason::ProtocolError);
        CHECK(decode_with(place, raw) == (is_repeatable ? Reason::Success : refused));
    });
}

TEST_CASE("a value out of range is a protocol error; alias 0 has its own code [MQTT-3.3.2-8]") {
    for_all_pairs([](const Row &row, Place place) {
        if (!allowed(place, row)) return;
        for (const char *bad : row.bad) {
            bool is_alias = hex(bad)[0] == 0x23;
            Reason refused = is_alias ? Reason::TopicAliasInvalid : Reason::ProtocolError;
            CHECK(decode_with(place, company(place, row) + hex(bad)) == or_silent(place, refused));
        }
    });
}

TEST_CASE("a property that is cut short is malformed") {
    for_all_pairs([](const Row &row, Place place) {
        if (!allowed(place, row)) return;
        std::string good = hex(row.good);
        for (size_t n = 1; n < good.size(); n++)
            CHECK(decode_with(place, company(place, row) + good.substr(0, n)) ==
                  or_silent(place, Reason::MalformedPacket));
    });
}

TEST_CASE("every other identifier is malformed, also in a longer form") {
    std::string known;
    for (const Row &row : TABLE) known += hex(row.good)[0];
    for (int id = 0; id < 128; id++) {
        if (known.find(static_cast<char>(id)) != std::string::npos) continue;
        CAPTURE(id);
        std::string raw(1, static_cast<char>(id));
        for (int i = 0; i < PLACES; i++) {
            Place place = static_cast<Place>(i);
            CHECK(decode_with(place, raw + hex("00 00 00 00")) ==
                  or_silent(place, Reason::MalformedPacket));
        }
    }
    CHECK(decode_with(InPublish, hex("81 00 01")) == Reason::MalformedPacket);
    CHECK(decode_with(InPublish, hex("80 01 01")) == Reason::MalformedPacket);
}

TEST_CASE("[MQTT-1.5.4-1, -1.5.7-1] texts in properties are UTF-8, binary data is not checked") {
    CHECK(decode_with(InPublish, hex("03 00 01 FF")) == Reason::MalformedPacket);
    CHECK(decode_with(InPublish, hex("08 00 02 C0 80")) == Reason::MalformedPacket);
    CHECK(decode_with(InPublish, hex("26 00 01 00 00 00")) == Reason::MalformedPacket);
    CHECK(decode_with(InPublish, hex("26 00 00 00 01 FF")) == Reason::MalformedPacket);
    CHECK(decode_with(InPublish, hex("26 00 00 00 00")) == Reason::Success);
    CHECK(decode_with(InPublish, hex("09 00 01 FF")) == Reason::Success);
    CHECK(decode_with(InPuback, hex("1F 00 01 7F")) == Reason::MalformedPacket);
}

TEST_CASE("[MQTT-1.5.5-1] a length or identifier in more bytes than needed is malformed") {
    Publish p;
    CHECK(publish_decode(Exact(str16("t") + hex("80 00")).bytes, 0x30, Version::V5, &p) ==
          Reason::MalformedPacket);
    CHECK(publish_decode(Exact(str16("t") + hex("80 80 80 80 01")).bytes, 0x30, Version::V5,
                         &p) == Reason::MalformedPacket);
    CHECK(publish_decode(Exact(str16("t") + hex("FF FF FF FF")).bytes, 0x30, Version::V5, &p) ==
          Reason::MalformedPacket);
    CHECK(decode_with(InSubscribe, hex("0B 81 00")) == Reason::MalformedPacket);
}

TEST_CASE("[N5-82] authentication data without a method is a protocol error") {
    CHECK(decode_with(InConnect, hex("16 00 00")) == Reason::ProtocolError);
    CHECK(decode_with(InAuth, hex("16 00 00")) == Reason::ProtocolError);
}

TEST_CASE("values of CONNECT are filed, and the defaults hold without them") {
    std::string raw = hex("11 00 00 00 05 21 00 07 22 00 09 27 00 00 10 00 17 00 19 01") +
                      hex("15 00 01 6D 16 00 02 00 01");
    Exact in(hex("00 04 4D 51 54 54 05 02 00 3C") + props(raw) + hex("00 00"));
    Connect c;
    ConnectError e;
    REQUIRE(connect_decode(in.bytes, 0x10, &c, &e));
    CHECK(c.props.session_expiry_s == 5);
    CHECK(c.props.receive_maximum == 7);
    CHECK(c.props.topic_alias_maximum == 9);
    CHECK(c.props.maximum_packet_size == 4096);
    CHECK(!c.props.request_problem_info);
    CHECK(c.props.request_response_info);
    CHECK(c.props.auth_method == "m");
    CHECK(c.props.auth_data == Bytes("\0\1", 2));
    CHECK(c.props.raw == raw);

    Exact plain(hex("00 04 4D 51 54 54 05 02 00 3C 00 00 00"));
    REQUIRE(connect_decode(plain.bytes, 0x10, &c, &e));
    CHECK(c.props.has == 0);
    CHECK(c.props.session_expiry_s == 0);
    CHECK(c.props.receive_maximum == 65535);
    CHECK(c.props.topic_alias_maximum == 0);
    CHECK(c.props.maximum_packet_size == UINT32_MAX);
    CHECK(c.props.request_problem_info);
    CHECK(!c.props.request_response_info);
}

TEST_CASE("five thousand user properties in CONNECT are taken") {
    std::string raw;
    for (int i = 0; i < 5000; i++) raw += hex("26") + str16("key") + str16("value");
    CHECK(decode_with(InConnect, raw) == Reason::Success);
    CHECK(decode_with(InConnect, raw + hex("26 00")) == Reason::MalformedPacket);
}
