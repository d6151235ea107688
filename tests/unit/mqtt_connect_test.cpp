// CONNECT of all versions, and how bad ones are answered.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

struct Result {
    bool good = false;
    Connect c;
    ConnectError e;
};

// Views into the body die with it: only numbers may be looked at afterwards.
Result decode(const std::string &body, uint8_t head = 0x10) {
    Result r;
    Exact in(body);
    r.good = connect_decode(in.bytes, head, &r.c, &r.e);
    return r;
}

bool is_silent(const std::string &body, uint8_t head = 0x10) {
    Result r = decode(body, head);
    return !r.good && r.e.form == ConnectError::Silent && r.e.what[0];
}

bool is_code3(const std::string &body, uint8_t code) {
    Result r = decode(body);
    return !r.good && r.e.form == ConnectError::V3 && r.e.code3 == code;
}

bool is_reason(const std::string &body, Reason reason, uint8_t head = 0x10) {
    Result r = decode(body, head);
    return !r.good && r.e.form == ConnectError::V5 && r.e.reason == reason;
}

const std::string NAME = hex("00 04 4D 51 54 54");
const std::string OLD_NAME = hex("00 06 4D 51 49 73 64 70");

std::string v311(const char *flags, const std::string &payload) {
    return NAME + hex("04") + hex(flags) + hex("00 3C") + payload;
}
std::string v31(const char *flags, const std::string &payload) {
    return OLD_NAME + hex("03") + hex(flags) + hex("00 3C") + payload;
}
std::string v5(const char *flags, const std::string &payload) {
    return NAME + hex("05") + hex(flags) + hex("00 3C 00") + payload;
}

const std::string ID = str16("a");
const std::string WILL = str16("w") + str16("gone");
const std::string WILL5 = hex("00") + WILL;

} // namespace

TEST_CASE("the minimal CONNECT of each version is accepted") {
    Result r = decode(v5("02", ID));
    REQUIRE(r.good);
    CHECK(r.c.version == Version::V5);
    CHECK(r.c.clean_start);
    CHECK(r.c.keep_alive_s == 60);
    r = decode(v311("02", ID));
    REQUIRE(r.good);
    CHECK(r.c.version == Version::V311);
    r = decode(v31("02", ID));
    REQUIRE(r.good);
    CHECK(r.c.version == Version::V31);
    CHECK(feed_packet("10 0E 00 04 4D 51 54 54 05 02 00 3C 00 00 01 61", Version::V5));
    CHECK(feed_packet("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 61", Version::V311));
    CHECK(feed_packet("10 0F 00 06 4D 51 49 73 64 70 03 02 00 3C 00 01 61", Version::V31));
}

TEST_CASE("[MQTT-3.1.3-1] all fields of a CONNECT are found") {
    std::string will_props = props(hex("18 00 00 00 07 01 01"));
    Exact in(v5("F6", ID + will_props + WILL + str16("me") + str16("secret")));
    Connect c;
    ConnectError e;
    REQUIRE(connect_decode(in.bytes, 0x10, &c, &e));
    CHECK(c.client_id == "a");
    CHECK(c.has_will);
    CHECK(c.will.qos == 2);
    CHECK(c.will.retain);
    CHECK(c.will.topic == "w");
    CHECK(c.will.payload == "gone");
    CHECK(c.will.props.will_delay_s == 7);
    CHECK(c.user_name == "me");
    CHECK(c.password == "secret");
}

TEST_CASE("[MQTT-3.1.2-1] other protocol names are closed without a word") {
    for (const char *name : {"MQTX", "mqtt", "MQIsdq", "", "MQTTT", "MQ"})
        CHECK(is_silent(str16(name) + hex("04 02 00 3C") + ID));
    CHECK(is_silent(hex("FF FF 4D 51 54 54 04 02 00 3C 00 01 61")));
    CHECK(is_silent(hex("00 04 4D 51 54 54")));
    CHECK(is_silent(""));
}

TEST_CASE("[MQTT-3.1.2-2, H-16] wrong levels are answered as Mosquitto does") {
    std::string rest = hex("02 00 3C") + ID;
    CHECK(is_code3(NAME + hex("03") + rest, 1));
    CHECK(is_code3(OLD_NAME + hex("04") + rest, 1));
    CHECK(is_code3(OLD_NAME + hex("05") + rest, 1));
    CHECK(is_code3(NAME + hex("83") + rest, 1));
    CHECK(is_code3(OLD_NAME + hex("84") + rest, 1));
    for (const char *level : {"00", "01", "02", "06", "07", "7F", "85", "86", "FF"}) {
        CAPTURE(std::string(level));
        CHECK(is_reason(NAME + hex(level) + rest, Reason::UnsupportedProtocolVersion));
        CHECK(is_reason(OLD_NAME + hex(level) + rest, Reason::UnsupportedProtocolVersion));
    }
}

TEST_CASE("[BR-1] the bridge bit of 3.1 and 3.1.1 is seen") {
    CHECK(!decode(v311("02", ID)).c.is_bridge);
    Result r = decode(NAME + hex("84 02 00 3C") + ID);
    REQUIRE(r.good);
    CHECK(r.c.is_bridge);
    CHECK(r.c.version == Version::V311);
    r = decode(OLD_NAME + hex("83 02 00 3C") + ID);
    REQUIRE(r.good);
    CHECK(r.c.is_bridge);
    CHECK(r.c.version == Version::V31);
}

TEST_CASE("[MQTT-2.1.3-1, V31-5] header flags are zero, but 3.1 does not look") {
    CHECK(is_reason(v5("02", ID), Reason::MalformedPacket, 0x11));
    CHECK(is_silent(v311("02", ID), 0x12));
    CHECK(decode(v31("02", ID), 0x1F).good);
}

TEST_CASE("[MQTT-3.1.2-3, V31-6] the reserved connect flag is zero, but 3.1 does not look") {
    CHECK(is_reason(v5("03", ID), Reason::MalformedPacket));
    CHECK(is_silent(v311("03", ID)));
    CHECK(decode(v31("03", ID)).good);
}

TEST_CASE("[MQTT-3.1.2-9, -11, -12, -13] mistakes in the will are closed without a word") {
    CHECK(is_silent(v5("1E", ID + WILL5)));  // QoS 3
    CHECK(is_silent(v311("1E", ID + WILL))); // [MQTT-3.1.2-14]
    CHECK(is_silent(v31("1E", ID + WILL)));
    for (const char *flags : {"0A", "12", "22"}) { // QoS or retain without a will
        CHECK(is_silent(v5(flags, ID)));
        CHECK(is_silent(v311(flags, ID)));
        Result r = decode(v31(flags, ID));
        REQUIRE(r.good);
        CHECK(r.c.will.qos == 0);
        CHECK(!r.c.will.retain);
    }
    CHECK(is_silent(v311("06", ID)));
    CHECK(is_silent(v311("06", ID + str16("w"))));
    CHECK(is_silent(v5("06", ID + hex("00") + str16("w"))));
    for (const char *topic : {"", "a/#", "+", "\x01"}) {
        CHECK(is_silent(v311("06", ID + str16(topic) + str16("x"))));
        CHECK(is_silent(v5("06", ID + hex("00") + str16(topic) + str16("x"))));
    }
    CHECK(decode(v311("06", ID + str16("w") + str16(""))).good);
}

TEST_CASE("[MQTT-3.1.3-4] a client id that is no UTF-8: 0x85 in 5.0, else silence") {
    CHECK(is_reason(v5("02", str16("\xFF")), Reason::ClientIdentifierNotValid));
    CHECK(is_silent(v311("02", str16("\xC0\x80"))));
    CHECK(is_silent(v31("02", str16("\x01"))));
}

TEST_CASE("[MQTT-3.1.3-6] an empty client id is the broker's question") {
    CHECK(decode(v5("00", str16(""))).good);
    CHECK(decode(v311("00", str16(""))).good);
    CHECK(decode(v31("00", str16(""))).good);
}

TEST_CASE("[MQTT-3.1.2-16 to -19] user name and password come as the flags say") {
    CHECK(decode(v5("82", ID + str16("me"))).good);
    CHECK(decode(v5("82", ID + str16(""))).good);
    CHECK(decode(v5("42", ID + str16("pw"))).good); // without a name: 5.0 only
    CHECK(is_silent(v311("42", ID + str16("pw"))));  // [MQTT-3.1.2-22]
    CHECK(is_silent(v31("42", ID + str16("pw"))));
    CHECK(is_reason(v5("82", ID), Reason::MalformedPacket));
    CHECK(is_reason(v5("02", ID + str16("me")), Reason::MalformedPacket));
    CHECK(is_reason(v5("82", ID + str16("\xFF")), Reason::MalformedPacket));
    CHECK(is_silent(v311("82", ID)));
    CHECK(is_silent(v311("C2", ID + str16("me"))));
    CHECK(is_silent(v311("82", ID + str16("me") + str16("pw"))));
    CHECK(is_silent(v311("82", ID + str16("\xFF"))));
    CHECK(decode(v311("C2", ID + str16("me") + str16("\xFF"))).good);
}

TEST_CASE("[V31-6] in 3.1 the packet's end has the last word about user name and password") {
    Result r = decode(v31("C2", ID));
    REQUIRE(r.good);
    CHECK(!r.c.has_user_name);
    CHECK(!r.c.has_password);
    r = decode(v31("C2", ID + str16("me")));
    REQUIRE(r.good);
    CHECK(r.c.has_user_name);
    CHECK(!r.c.has_password);
    CHECK(is_silent(v31("82", ID + hex("00"))));
    CHECK(is_silent(v31("82", ID + hex("00 02 61"))));
    CHECK(is_silent(v31("02", ID + str16("me"))));
}

TEST_CASE("bytes left over behind CONNECT are malformed") {
    CHECK(is_reason(v5("02", ID + "x"), Reason::MalformedPacket));
    CHECK(is_silent(v311("02", ID + "x")));
    CHECK(is_silent(v31("02", ID + "x")));
}

TEST_CASE("[MQTT-3.1.4-1] every proper prefix of a CONNECT fails") {
    std::string full5 = NAME + hex("05 F6 00 3C") + props(hex("21 00 05 26 00 01 61 00 01 62")) +
                        ID + props(hex("18 00 00 00 07")) + WILL + str16("me") + str16("pw");
    std::string full311 = v311("F6", ID + WILL + str16("me") + str16("pw"));
    std::string full31 = v31("F6", ID + WILL + str16("me") + str16("pw"));
    for (const std::string &body : {full5, full311, full31}) {
        REQUIRE(decode(body).good);
        for (size_t n = 0; n < body.size(); n++) {
            CAPTURE(n);
            // 3.1: the ends before user name and password are legal [V31-6].
            bool legal = body == full31 && (n == body.size() - 4 || n == body.size() - 8);
            CHECK(decode(body.substr(0, n)).good == legal);
        }
    }
}
