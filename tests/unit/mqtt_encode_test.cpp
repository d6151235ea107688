// Packets to clients, byte for byte.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

// Runs an encoder in a block of the promised size and gives its bytes.
template <typename F> std::string encoded(size_t room, F encode) {
    Exact out(std::string(room, '?'));
    Writer w = {out.block.get(), out.block.get() + room};
    encode(&w);
    return to_hex(Bytes(out.block.get(), static_cast<size_t>(w.at - out.block.get())));
}

std::string connack(Version v, const Connack &c) {
    return encoded(ENCODE_MAX + c.assigned_client_id.size() + c.reason_string.size(),
                   [&](Writer *w) { connack_encode(w, v, c); });
}

std::string ack(PacketType type, Version v, Reason reason, Bytes text) {
    return encoded(ENCODE_MAX + text.size(),
                   [&](Writer *w) { ack_encode(w, type, v, 10, reason, text); });
}

std::string suback(PacketType type, Version v, const char *codes, Bytes text = {}) {
    std::string c = hex(codes);
    return encoded(ENCODE_MAX + c.size() + text.size(),
                   [&](Writer *w) { suback_encode(w, type, v, 1, c, text); });
}

std::string disconnect(Reason reason, Bytes text) {
    return encoded(ENCODE_MAX + text.size(),
                   [&](Writer *w) { disconnect_encode(w, reason, text); });
}

} // namespace

TEST_CASE("CONNACK of 5.0 has its properties in Mosquitto's order") {
    Connack c;
    CHECK(connack(Version::V5, c) == "20 03 00 00 00");
    c.topic_alias_maximum = 10;
    c.maximum_packet_size = 2000000;
    c.receive_maximum = 20;
    c.session_present = true;
    CHECK(connack(Version::V5, c) == "20 0E 01 00 0B 22 00 0A 27 00 1E 84 80 21 00 14");
    c.has_server_keep_alive = true;
    c.server_keep_alive_s = 60;
    c.assigned_client_id = "ab";
    c.retain_available = false;
    c.maximum_qos = 1;
    c.has_session_expiry = true;
    c.session_expiry_s = 5;
    CHECK(connack(Version::V5, c) ==
          "20 1F 01 00 1C 13 00 3C 22 00 0A 12 00 02 61 62 25 00 27 00 1E 84 80 21 00 14 24 01 "
          "11 00 00 00 05");
}

TEST_CASE("[MQTT-3.2.2-6] a refusal has Session Present 0 and only what was set") {
    Connack c;
    c.session_present = true;
    c.reason = Reason::UnsupportedProtocolVersion;
    CHECK(connack(Version::V5, c) == "20 03 00 84 00");
    CHECK(connack(Version::V311, c) == "20 02 00 01");
    c.reason_string = "no";
    CHECK(connack(Version::V5, c) == "20 08 00 84 05 1F 00 02 6E 6F");
    c.reason_string = {};
    c.receive_maximum = 65535;
    CHECK(connack(Version::V5, c) == "20 03 00 84 00");
}

TEST_CASE("CONNACK with the longest texts fits its promised room") {
    std::string text(65535, 'x');
    Connack c;
    c.assigned_client_id = c.reason_string = text;
    c.has_server_keep_alive = c.has_session_expiry = true;
    c.topic_alias_maximum = c.receive_maximum = 1;
    c.maximum_packet_size = 1;
    c.maximum_qos = 0;
    c.retain_available = false;
    CHECK(connack(Version::V5, c).size() > 2 * 3 * 65535);
}

TEST_CASE("[MQTT-3.2.2-2, V31-3] CONNACK of 3.x") {
    Connack c;
    CHECK(connack(Version::V311, c) == "20 02 00 00");
    c.session_present = true;
    CHECK(connack(Version::V311, c) == "20 02 01 00");
    CHECK(connack(Version::V31, c) == "20 02 00 00");
    CHECK(encoded(4, [](Writer *w) { connack3_encode(w, true, 2); }) == "20 02 00 02");
    CHECK(connack_code3(Reason::ClientIdentifierNotValid) == 2);
    CHECK(connack_code3(Reason::ServerUnavailable) == 3);
    CHECK(connack_code3(Reason::BadUserNameOrPassword) == 4);
    CHECK(connack_code3(Reason::NotAuthorized) == 5);
    CHECK(connack_code3(Reason::PacketTooLarge) == 5);
}

TEST_CASE("acknowledgements are as short as they can be") {
    using enum PacketType;
    CHECK(ack(Puback, Version::V5, Reason::Success, {}) == "40 02 00 0A");
    CHECK(ack(Pubrel, Version::V5, Reason::Success, {}) == "62 02 00 0A");
    CHECK(ack(Puback, Version::V5, Reason::NoMatchingSubscribers, {}) == "40 03 00 0A 10");
    CHECK(ack(Pubrec, Version::V5, Reason::NotAuthorized, "no") ==
          "50 09 00 0A 87 05 1F 00 02 6E 6F");
    CHECK(ack(Pubcomp, Version::V311, Reason::PacketIdentifierNotFound, "no") == "70 02 00 0A");
}

TEST_CASE("[MQTT-3.9.3-2] SUBACK and UNSUBACK say what their version can") {
    using enum PacketType;
    CHECK(suback(Suback, Version::V5, "01") == "90 04 00 01 00 01");
    CHECK(suback(Suback, Version::V311, "01") == "90 03 00 01 01");
    CHECK(suback(Suback, Version::V311, "87 00 02") == "90 05 00 01 80 00 02");
    CHECK(suback(Suback, Version::V31, "02") == "90 03 00 01 02");
    CHECK(suback(Unsuback, Version::V5, "00 11") == "B0 05 00 01 00 00 11");
    CHECK(suback(Unsuback, Version::V311, "00 11") == "B0 02 00 01");
    CHECK(suback(Suback, Version::V5, "80", "no") == "90 09 00 01 05 1F 00 02 6E 6F 80");
}

TEST_CASE("PINGRESP and DISCONNECT") {
    CHECK(encoded(2, [](Writer *w) { pingresp_encode(w); }) == "D0 00");
    CHECK(disconnect(Reason::Success, {}) == "E0 00");
    CHECK(disconnect(Reason::SessionTakenOver, {}) == "E0 01 8E");
    CHECK(disconnect(Reason::KeepAliveTimeout, "x") == "E0 06 8D 04 1F 00 01 78");
}

TEST_CASE("a text longer than a string can be is cut") {
    std::string text(70000, 'x');
    CHECK(disconnect(Reason::ServerBusy, text).size() == (1 + 3 + 1 + 3 + 3 + 65535) * 3 - 1);
}

TEST_CASE("every reason code has words") {
    for (int code = 0; code < 256; code++) {
        const char *text = reason_text(static_cast<Reason>(code));
        REQUIRE(text);
        CHECK(text[0]);
    }
    CHECK(std::string(reason_text(Reason::NotAuthorized)) == "not authorised");
    CHECK(std::string(reason_text(static_cast<Reason>(0x7F))) == "unknown reason");
}
