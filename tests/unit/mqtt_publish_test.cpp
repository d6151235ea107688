// PUBLISH, both ways, and what of its properties goes on to subscribers.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

Reason decode(const std::string &body, uint8_t head, Version v) {
    Publish p;
    return publish_decode(Exact(body).bytes, head, v, &p);
}

Props publish_props(const std::string &raw) {
    Props p;
    p.raw = raw;
    Publish out;
    Exact in(str16("t") + props(raw));
    REQUIRE(publish_decode(in.bytes, 0x30, Version::V5, &out) == Reason::Success);
    p.has = out.props.has;
    p.message_expiry_s = out.props.message_expiry_s;
    return p;
}

std::string forward(const std::string &raw, ForwardProps *f) {
    Props p = publish_props(raw);
    p.raw = raw;
    std::string out(raw.size(), '\0');
    *f = publish_forward_props(p, out.data());
    ForwardProps dry = publish_forward_props(p, nullptr);
    CHECK(dry.size == f->size);
    CHECK(dry.expiry_at == f->expiry_at);
    out.resize(f->size);
    return out;
}

std::string encode(const PublishHead &h, Version v, const std::string &payload, uint32_t *id_at) {
    uint32_t head_size = 0;
    uint64_t size = publish_size(h, v, &head_size);
    Exact out(std::string(head_size, '?'));
    Writer w = {out.block.get(), out.block.get() + head_size};
    publish_encode(&w, h, v, id_at);
    CHECK(w.at == w.end);
    CHECK(size == head_size + payload.size());
    return std::string(out.bytes) + payload;
}

const std::string USER = hex("26 00 01 61 00 01 62");

} // namespace

TEST_CASE("the PUBLISH packets of the standard's vectors are decoded") {
    Publish p;
    Exact in(hex("00 01 74 00 78"));
    REQUIRE(publish_decode(in.bytes, 0x30, Version::V5, &p) == Reason::Success);
    CHECK(p.topic == "t");
    CHECK(p.payload == "x");
    CHECK(p.id == 0);

    Exact in5(hex("00 03 61 2F 62 00 0A 00"));
    REQUIRE(publish_decode(in5.bytes, 0x32, Version::V5, &p) == Reason::Success);
    CHECK(p.topic == "a/b");
    CHECK(p.id == 10);
    CHECK(p.qos == 1);
    CHECK(p.payload.empty());

    Exact in3(hex("00 03 61 2F 62 00 0A"));
    REQUIRE(publish_decode(in3.bytes, 0x3D, Version::V311, &p) == Reason::Success);
    CHECK(p.qos == 2);
    CHECK(p.dup);
    CHECK(p.retain);
}

TEST_CASE("[MQTT-3.3.1-2, -4] QoS 3 and DUP with QoS 0 are malformed") {
    std::string body3 = hex("00 01 74 00 01"), body5 = hex("00 01 74 00 01 00");
    for (Version v : VERSIONS) {
        const std::string &body = v == Version::V5 ? body5 : body3;
        CHECK(decode(body, 0x36, v) == Reason::MalformedPacket);
        CHECK(decode(body, 0x3E, v) == Reason::MalformedPacket);
        CHECK(decode(body, 0x38, v) == Reason::MalformedPacket);
        CHECK(decode(body, 0x3A, v) == Reason::Success);
    }
}

TEST_CASE("[MQTT-2.2.1-3, 2.3.1-1 of 3.1.1] a packet id of 0 is refused") {
    CHECK(decode(hex("00 01 74 00 00 00"), 0x32, Version::V5) == Reason::ProtocolError);
    CHECK(decode(hex("00 01 74 00 00"), 0x34, Version::V311) != Reason::Success);
}

TEST_CASE("[MQTT-3.3.2-1, -2, 4.7.0-1] bad topic names are malformed") {
    for (const char *topic : {"#", "+", "a/+/b", "a#", "\xFF", "\x01"})
        for (Version v : VERSIONS)
            CHECK(decode(str16(topic) + std::string(1, '\0'), 0x30, v) == Reason::MalformedPacket);
    CHECK(decode(str16(std::string("a\0b", 3)), 0x30, Version::V311) == Reason::MalformedPacket);
    CHECK(decode(str16(std::string(201, '/')), 0x30, Version::V311) == Reason::MalformedPacket);
    CHECK(decode(str16(std::string(200, '/')), 0x30, Version::V311) == Reason::Success);
}

TEST_CASE("[MQTT-4.7.3-1, N5-35] an empty topic needs an alias, and 5.0") {
    CHECK(decode(hex("00 00 00"), 0x30, Version::V5) == Reason::ProtocolError);
    CHECK(decode(hex("00 00"), 0x30, Version::V311) == Reason::MalformedPacket);
    CHECK(decode(hex("00 00"), 0x30, Version::V31) == Reason::MalformedPacket);
    CHECK(decode(hex("00 00 03 23 00 01"), 0x30, Version::V5) == Reason::Success);
    CHECK(decode(hex("00 00 03 23 00 00"), 0x30, Version::V5) == Reason::TopicAliasInvalid);
}

TEST_CASE("[MQTT-3.3.4-6] a Subscription Identifier from a client is a protocol error") {
    CHECK(decode(hex("00 01 74 02 0B 01"), 0x30, Version::V5) == Reason::ProtocolError);
}

TEST_CASE("[MQTT-3.3.2-17, -18] properties go on in their order, the receiver's own do not") {
    ForwardProps f;
    std::string type = hex("03 00 01 78"), reply = hex("08 00 01 72"), data = hex("09 00 01 00");
    std::string alias = hex("23 00 07"), format = hex("01 01");
    CHECK(forward(alias, &f).empty());
    CHECK(f.expiry_at == 0);
    CHECK(forward("", &f).empty());
    CHECK(forward(USER + alias + type + USER + data + format + reply, &f) ==
          USER + type + USER + data + format + reply);

    std::string expiry = hex("02 00 00 00 0A");
    CHECK(forward(USER + alias + expiry + type, &f) == USER + expiry + type);
    CHECK(f.expiry_at == USER.size() + 1 + 1);
}

TEST_CASE("[MQTT-3.1.3-10] the Will Delay does not go on, the other Will properties do") {
    Exact in(hex("00 04 4D 51 54 54 05 06 00 3C 00 00 01 61") +
             props(USER + hex("18 00 00 00 05") + USER + hex("01 00")) + str16("w") + str16(""));
    Connect c;
    ConnectError e;
    REQUIRE(connect_decode(in.bytes, 0x10, &c, &e));
    std::string out(c.will.props.raw.size(), '\0');
    ForwardProps f = publish_forward_props(c.will.props, out.data());
    CHECK(out.substr(0, f.size) == USER + USER + hex("01 00"));
}

TEST_CASE("an expiry too far behind moves to the front") {
    std::string expiry = hex("02 00 00 00 0A");
    auto user = [](size_t size) { // a User Property of `size` bytes
        return hex("26 00 00") + str16(std::string(size - 5, 'v'));
    };
    ForwardProps f;
    // Identifier at 65,533: the value at 65,534 can still be named.
    std::string near = user(40000) + user(25533) + expiry;
    CHECK(forward(near, &f) == near);
    CHECK(f.expiry_at == 65535);
    std::string far = user(40000) + user(25534);
    CHECK(forward(far + expiry + USER, &f) == expiry + far + USER);
    CHECK(f.expiry_at == 2);
}

TEST_CASE("what publish_encode writes, publish_decode reads") {
    Random random;
    for (int round = 0; round < 3000; round++) {
        Version v = VERSIONS[random.below(3)];
        std::string topic(1 + random.below(random.below(50) ? 40 : 65535), 't');
        std::string payload(random.below(random.below(20) ? 200 : 70000), 'p');
        std::string raw, expiry;
        for (size_t n = random.below(4); n > 0; n--) raw += USER;
        PublishHead h;
        h.topic = topic;
        h.qos = static_cast<uint8_t>(random.below(3));
        h.id = h.qos ? static_cast<uint16_t>(1 + random.below(65535)) : uint16_t{0};
        h.dup = h.qos && random.below(2);
        h.retain = random.below(2);
        h.payload_size = static_cast<uint32_t>(payload.size());
        if (v == Version::V5) {
            h.topic_alias = static_cast<uint16_t>(random.below(2) * random.below(65536));
            if (random.below(2)) {
                h.expiry_at = static_cast<uint16_t>(raw.size() + 2);
                h.expiry_s = static_cast<uint32_t>(random.below(UINT32_MAX));
                raw += hex("02 FF FF FF FF");
            }
            h.props = raw;
        }

        uint32_t id_at = 0, head_size = 0;
        std::string packet = encode(h, v, payload, &id_at);
        PacketHead head;
        REQUIRE(packet_head_decode(packet, &head) == Cut::Whole);
        REQUIRE(packet.size() == size_t{head.head_size} + head.body_size);
        CHECK(publish_size(h, v, &head_size) == packet.size());
        Exact body(packet.substr(head.head_size));
        Publish p;
        CAPTURE(seed());
        REQUIRE(publish_decode(body.bytes, head.head, v, &p) == Reason::Success);
        CHECK(p.topic == topic);
        CHECK(p.payload == payload);
        CHECK(p.qos == h.qos);
        CHECK(p.id == h.id);
        CHECK(p.dup == h.dup);
        CHECK(p.retain == h.retain);
        CHECK(p.props.topic_alias == h.topic_alias);
        if (h.expiry_at) CHECK(p.props.message_expiry_s == h.expiry_s);
        CHECK((id_at == 0) == (h.qos == 0));
        if (id_at) {
            CHECK(static_cast<uint8_t>(packet[id_at]) == h.id >> 8);
            CHECK(static_cast<uint8_t>(packet[id_at + 1]) == (h.id & 0xFF));
        }
    }
}

TEST_CASE("an encoded PUBLISH has alias, subscription id and forwarded properties") {
    PublishHead h;
    h.topic_alias = 3;
    h.subscription_id = 268435455;
    std::string raw = hex("02 00 00 00 00") + USER;
    h.props = raw;
    h.expiry_at = 2;
    h.expiry_s = 0x01020304;
    h.id = 10;
    h.qos = 1;
    h.payload_size = 1;
    uint32_t id_at = 0;
    CHECK(to_hex(encode(h, Version::V5, "x", &id_at)) ==
          "32 1A 00 00 00 0A 14 23 00 03 0B FF FF FF 7F 02 01 02 03 04 26 00 01 61 00 01 62 78");
    CHECK(id_at == 4);
    h.topic = "t";
    CHECK(to_hex(encode(h, Version::V311, "x", &id_at)) == "32 06 00 01 74 00 0A 78");
}

TEST_CASE("a PUBLISH that is too long can be told by its size") {
    PublishHead h;
    h.topic = "t";
    uint32_t head_size = 0;
    h.payload_size = VARINT_MAX - 3;
    CHECK(publish_size(h, Version::V311, &head_size) == uint64_t{VARINT_MAX} + 5);
    h.payload_size++;
    CHECK(publish_size(h, Version::V311, &head_size) > uint64_t{VARINT_MAX} + 5);
    h.payload_size = UINT32_MAX;
    CHECK(publish_size(h, Version::V5, &head_size) > uint64_t{UINT32_MAX});
}
