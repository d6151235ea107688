// Framing and the smaller packets: acknowledgements, SUBSCRIBE, UNSUBSCRIBE,
// PINGREQ, DISCONNECT, AUTH; then all of them cut short and mutated.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

Cut cut(const std::string &bytes, PacketHead *out) {
    return packet_head_decode(Exact(bytes).bytes, out);
}

Reason ack(const char *body, uint8_t head, Version v) {
    Ack a;
    return ack_decode(Exact(hex(body)).bytes, head, v, &a);
}

Reason subscribe(const std::string &body, Version v, uint8_t head = 0x82) {
    Subscribe s;
    return subscribe_decode(Exact(body).bytes, head, v, &s);
}

Reason unsubscribe(const std::string &body, Version v, uint8_t head = 0xA2) {
    Subscribe s;
    return unsubscribe_decode(Exact(body).bytes, head, v, &s);
}

Reason disconnect(const char *body, uint8_t head, Version v) {
    Disconnect d;
    return disconnect_decode(Exact(hex(body)).bytes, head, v, &d);
}

Reason auth(const std::string &body, uint8_t head = 0xF0) {
    Auth a;
    return auth_decode(Exact(body).bytes, head, &a);
}

const std::string METHOD = hex("15 00 01 6D");

// Accepted reason codes are those of `set`, all others are protocol errors.
void check_codes(uint8_t head, const char *set) {
    std::string codes = hex(set);
    for (int code = 0; code < 256; code++) {
        CAPTURE(code);
        bool good = codes.find(static_cast<char>(code)) != std::string::npos;
        Ack a;
        std::string body = hex("00 01") + static_cast<char>(code);
        CHECK(ack_decode(Exact(body).bytes, head, Version::V5, &a) ==
              (good ? Reason::Success : Reason::ProtocolError));
    }
}

} // namespace

TEST_CASE("the remaining length is read in one to four bytes") {
    struct { const char *bytes; uint32_t value; uint8_t size; } good[] = {
        {"C0 00", 0, 2}, {"30 7F", 127, 2}, {"30 80 01", 128, 3}, {"30 FF 7F", 16383, 3},
        {"30 80 80 01", 16384, 4}, {"30 FF FF 7F", 2097151, 4}, {"30 80 80 80 01", 2097152, 5},
        {"30 FF FF FF 7F", 268435455, 5}, {"30 80 00", 0, 3}, {"30 85 80 00", 5, 4},
    };
    for (auto &g : good) {
        std::string bytes = hex(g.bytes);
        PacketHead h;
        REQUIRE(cut(bytes, &h) == Cut::Whole);
        CHECK(h.body_size == g.value);
        CHECK(h.head_size == g.size);
        CHECK(h.head == static_cast<uint8_t>(bytes[0]));
        for (size_t n = 0; n < bytes.size(); n++) CHECK(cut(bytes.substr(0, n), &h) == Cut::NeedMore);
    }
    PacketHead h;
    CHECK(cut(hex("30 80 80 80 80 01"), &h) == Cut::Malformed);
    CHECK(cut(hex("30 80 80 80 80"), &h) == Cut::Malformed);
    CHECK(cut(hex("30 FF FF FF FF"), &h) == Cut::Malformed);
}

TEST_CASE("the vectors of both standards are accepted") {
    for (const char *packet : {"C0 00", "E0 00", "E0 01 04", "E0 02 00 00", "40 02 00 0A",
                               "62 02 00 0A", "82 09 00 01 00 00 03 61 2F 23 01",
                               "A2 08 00 01 00 00 03 61 2F 23", "30 05 00 01 74 00 78",
                               "32 08 00 03 61 2F 62 00 0A 00"}) {
        CAPTURE(std::string(packet));
        CHECK(feed_packet(packet, Version::V5));
    }
    for (const char *packet : {"C0 00", "E0 00", "40 02 00 0A", "82 08 00 01 00 03 61 2F 23 01",
                               "A2 07 00 01 00 03 61 2F 23", "32 07 00 03 61 2F 62 00 0A",
                               "62 02 00 0A"}) {
        CAPTURE(std::string(packet));
        CHECK(feed_packet(packet, Version::V311));
        CHECK(feed_packet(packet, Version::V31));
    }
}

TEST_CASE("the vectors to be closed for are refused") {
    for (const char *packet : {"80 08 00 01 00 03 61 2F 23 01", "8A 08 00 01 00 03 61 2F 23 01",
                               "60 02 00 0A", "36 07 00 03 61 2F 62 00 0A",
                               "38 05 00 03 61 2F 62", "82 08 00 01 00 03 61 2F 23 03",
                               "82 08 00 01 00 03 61 2F 23 04"}) {
        CAPTURE(std::string(packet));
        CHECK(!feed_packet(packet, Version::V311));
    }
}

TEST_CASE("[V31-5] 3.1 may set DUP on SUBSCRIBE, UNSUBSCRIBE and PUBREL") {
    for (const char *packet : {"8A 08 00 01 00 03 61 2F 23 01", "AA 07 00 01 00 03 61 2F 23",
                               "6A 02 00 0A"}) {
        CAPTURE(std::string(packet));
        CHECK(feed_packet(packet, Version::V31));
        CHECK(!feed_packet(packet, Version::V311));
    }
    CHECK(!feed_packet("80 08 00 01 00 03 61 2F 23 01", Version::V31));
}

TEST_CASE("[MQTT-2.1.3-1, 3.6.1-1, 3.8.1-1, 3.10.1-1] reserved header flags are as prescribed") {
    std::string filter = hex("00 01 00 00 01 61");
    for (unsigned flags = 0; flags < 16; flags++) {
        CAPTURE(flags);
        auto head = [&](unsigned type) { return static_cast<uint8_t>(type << 4 | flags); };
        Reason zero = flags == 0 ? Reason::Success : Reason::MalformedPacket;
        Reason two = flags == 2 ? Reason::Success : Reason::MalformedPacket;
        for (Version v : {Version::V311, Version::V5}) {
            CHECK(ack("00 01", head(4), v) == zero);
            CHECK(ack("00 01", head(5), v) == zero);
            CHECK(ack("00 01", head(6), v) == two);
            CHECK(ack("00 01", head(7), v) == zero);
            CHECK(disconnect("", head(14), v) == zero);
            CHECK(pingreq_decode({}, head(12), v) == zero);
        }
        CHECK(pingreq_decode({}, head(12), Version::V31) == Reason::Success); // V31-5
        CHECK(subscribe(filter + hex("00"), Version::V5, head(8)) == two);
        CHECK(unsubscribe(filter, Version::V5, head(10)) == two);
        CHECK(auth(hex("18") + props(METHOD), head(15)) == zero);
    }
}

TEST_CASE("[MQTT-3.4.2-1, 3.5.2-1, 3.6.2-1, 3.7.2-1] acknowledgements have codes of their set") {
    check_codes(0x40, "00 10 80 83 87 90 91 97 99");
    check_codes(0x50, "00 10 80 83 87 90 91 97 99");
    check_codes(0x62, "00 92");
    check_codes(0x70, "00 92");
}

TEST_CASE("acknowledgements are two, three or more bytes long, in 3.x two") {
    CHECK(ack("00 0A", 0x40, Version::V5) == Reason::Success);
    CHECK(ack("00 0A 80", 0x40, Version::V5) == Reason::Success);
    CHECK(ack("00 0A 80 00", 0x40, Version::V5) == Reason::Success);
    CHECK(ack("00 0A 80 04 1F 00 01 61", 0x40, Version::V5) == Reason::Success);
    CHECK(ack("00 0A 80 00 00", 0x40, Version::V5) == Reason::MalformedPacket);
    CHECK(ack("00 0A 80 04 1F 00 01", 0x40, Version::V5) == Reason::MalformedPacket);
    CHECK(ack("00", 0x40, Version::V5) == Reason::MalformedPacket);
    CHECK(ack("", 0x40, Version::V311) == Reason::MalformedPacket);
    CHECK(ack("00 0A 00", 0x40, Version::V311) == Reason::MalformedPacket); // [H-17]
    CHECK(ack("00 00", 0x40, Version::V5) == Reason::ProtocolError);
}

TEST_CASE("SUBSCRIBE: all options are found") {
    Subscribe s;
    Exact in(hex("00 07") + props(hex("0B 05")) + str16("a/#") + hex("2E") + str16("b") +
             hex("10"));
    REQUIRE(subscribe_decode(in.bytes, 0x82, Version::V5, &s) == Reason::Success);
    CHECK(s.id == 7);
    CHECK(s.count == 2);
    CHECK(s.props.subscription_id == 5);
    SubscribeFilter f;
    Bytes rest = s.filters;
    REQUIRE(subscribe_next(&rest, Version::V5, &f));
    CHECK(f.filter == "a/#");
    CHECK(f.qos == 2);
    CHECK(f.no_local);
    CHECK(f.retain_as_published);
    CHECK(f.retain_handling == RetainHandling::Never);
    REQUIRE(subscribe_next(&rest, Version::V5, &f));
    CHECK(f.filter == "b");
    CHECK(f.qos == 0);
    CHECK(!f.no_local);
    CHECK(f.retain_handling == RetainHandling::IfNew);
    CHECK(!subscribe_next(&rest, Version::V5, &f));
}

TEST_CASE("[MQTT-3.8.3-2, -4, -5] SUBSCRIBE: mistakes and their codes") {
    std::string start = hex("00 01 00");
    CHECK(subscribe(start, Version::V5) == Reason::ProtocolError); // no filter
    for (int options = 0; options < 256; options++) {
        CAPTURE(options);
        std::string body = start + str16("a") + static_cast<char>(options);
        Reason expected = options & 0xC0                ? Reason::MalformedPacket
                          : (options & 0x03) == 0x03    ? Reason::ProtocolError
                          : (options & 0x30) == 0x30    ? Reason::ProtocolError
                                                        : Reason::Success;
        CHECK(subscribe(body, Version::V5) == expected);
        std::string shared = start + str16("$share/g/a") + static_cast<char>(options);
        if (expected == Reason::Success && (options & 0x04)) expected = Reason::ProtocolError;
        CHECK(subscribe(shared, Version::V5) == expected);
        body.erase(2, 1);
        CHECK((subscribe(body, Version::V311) == Reason::Success) == (options <= 2));
    }
    CHECK(subscribe(hex("00 00 00") + str16("a") + hex("00"), Version::V5) ==
          Reason::MalformedPacket);
    for (const char *bad : {"", "a#", "$share/g", "\xFF", "\x01", "+a"}) {
        CHECK(subscribe(start + str16(bad) + hex("00"), Version::V5) == Reason::MalformedPacket);
        CHECK(subscribe(start + str16("a") + hex("00") + str16(bad) + hex("00"), Version::V5) ==
              Reason::MalformedPacket);
    }
    CHECK(subscribe(hex("00 01 02 0B 00") + str16("a") + hex("00"), Version::V5) ==
          Reason::ProtocolError);
    CHECK(subscribe(hex("00 01 03 1F 00 00") + str16("a") + hex("00"), Version::V5) ==
          Reason::MalformedPacket);
}

TEST_CASE("[MQTT-3.10.3-1, -2] UNSUBSCRIBE: mistakes and their codes") {
    CHECK(unsubscribe(hex("00 01 00"), Version::V5) == Reason::ProtocolError);
    CHECK(unsubscribe(hex("00 01"), Version::V311) != Reason::Success);
    CHECK(unsubscribe(hex("00 00 00") + str16("a"), Version::V5) == Reason::MalformedPacket);
    for (const char *bad : {"", "a#", "$share/g", "\xFF"})
        CHECK(unsubscribe(hex("00 01 00") + str16(bad), Version::V5) == Reason::MalformedPacket);
    Subscribe s;
    Exact in(hex("00 01 00") + str16("a") + str16("$share/g/b"));
    REQUIRE(unsubscribe_decode(in.bytes, 0xA2, Version::V5, &s) == Reason::Success);
    CHECK(s.count == 2);
}

TEST_CASE("PINGREQ has no body") {
    CHECK(pingreq_decode(Exact("x").bytes, 0xC0, Version::V5) == Reason::MalformedPacket);
}

TEST_CASE("[MQTT-3.14.2-1] DISCONNECT has a code that a client may send") {
    std::string codes = hex("00 04 80 81 82 83 8C 90 93 94 95 96 97 98 99");
    for (int code = 0; code < 256; code++) {
        CAPTURE(code);
        bool good = codes.find(static_cast<char>(code)) != std::string::npos;
        Disconnect d;
        Exact in(std::string(1, static_cast<char>(code)));
        CHECK(disconnect_decode(in.bytes, 0xE0, Version::V5, &d) ==
              (good ? Reason::Success : Reason::ProtocolError));
        CHECK(static_cast<int>(d.reason) == code);
    }
    CHECK(disconnect("00", 0xE0, Version::V311) == Reason::MalformedPacket);
    CHECK(disconnect("00 00 00", 0xE0, Version::V5) == Reason::MalformedPacket);
    CHECK(disconnect("00 05 11 00 00 00 05", 0xE0, Version::V5) == Reason::Success);
    CHECK(disconnect("", 0xE3, Version::V31) == Reason::Success);
}

TEST_CASE("[MQTT-3.15.2-1, N5-80] AUTH has code 0x18 or 0x19 and a method") {
    CHECK(auth(hex("18") + props(METHOD)) == Reason::Success);
    CHECK(auth(hex("19") + props(METHOD)) == Reason::Success);
    CHECK(auth(hex("00") + props(METHOD)) == Reason::ProtocolError);
    CHECK(auth(hex("18 00")) == Reason::ProtocolError);
    CHECK(auth("") == Reason::ProtocolError);
    CHECK(auth(hex("18")) == Reason::MalformedPacket);
    CHECK(auth(hex("18") + props(METHOD) + "x") == Reason::MalformedPacket);
}

namespace {

struct Sample {
    Version v;
    const char *packet;
    size_t legal_from = SIZE_MAX; // prefixes of the body this long are legal too
    std::string also_legal = {};  // and these lengths
};

const Sample SAMPLES[] = {
    {Version::V5, "10 0E 00 04 4D 51 54 54 05 02 00 3C 00 00 01 61"},
    {Version::V311, "10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 61"},
    {Version::V31, "10 0F 00 06 4D 51 49 73 64 70 03 02 00 3C 00 01 61"},
    {Version::V5, "10 26 00 04 4D 51 54 54 05 F6 00 3C 03 21 00 05 00 01 61 05 18 00 00 00 05 "
                  "00 01 77 00 02 68 69 00 02 6D 65 00 02 70 77"},
    {Version::V5, "30 05 00 01 74 00 78", 4},
    {Version::V5, "32 08 00 03 61 2F 62 00 0A 00"},
    {Version::V5, "34 1C 00 01 74 00 0A 15 02 00 00 00 05 23 00 01 01 01 26 00 01 61 00 01 62 "
                  "08 00 01 72 78", 27},
    {Version::V311, "32 07 00 03 61 2F 62 00 0A"},
    {Version::V5, "40 02 00 0A"},
    {Version::V5, "50 0A 00 0A 80 06 1F 00 03 61 62 63", SIZE_MAX, "\2\3"},
    {Version::V5, "62 02 00 0A"},
    {Version::V5, "70 03 00 0A 92", SIZE_MAX, "\2"},
    {Version::V311, "40 02 00 0A"},
    {Version::V5, "82 09 00 01 00 00 03 61 2F 23 01"},
    {Version::V5, "82 1C 00 01 02 0B 07 00 03 61 2F 23 2E 00 0A 24 73 68 61 72 65 2F 67 2F 62 "
                  "01 00 01 63 00", SIZE_MAX, "\x0B\x18"},
    {Version::V311, "82 08 00 01 00 03 61 2F 23 01"},
    {Version::V5, "A2 08 00 01 00 00 03 61 2F 23"},
    {Version::V311, "A2 0A 00 01 00 03 61 2F 23 00 01 62", SIZE_MAX, "\7"},
    {Version::V5, "E0 07 04 05 11 00 00 00 05", SIZE_MAX, std::string("\0\1", 2)},
    {Version::V5, "F0 0A 18 08 15 00 01 6D 16 00 01 78"},
};

} // namespace

TEST_CASE("every proper prefix of a good packet's body fails, unless it is legal itself") {
    for (const Sample &s : SAMPLES) {
        CAPTURE(std::string(s.packet));
        REQUIRE(feed_packet(s.packet, s.v));
        std::string body = hex(s.packet).substr(2);
        uint8_t head = static_cast<uint8_t>(hex(s.packet)[0]);
        for (size_t n = 0; n < body.size(); n++) {
            CAPTURE(n);
            bool legal = n >= s.legal_from ||
                         s.also_legal.find(static_cast<char>(n)) != std::string::npos;
            CHECK(feed(head, body.substr(0, n), s.v) == legal);
        }
    }
}

TEST_CASE("a byte more than a good packet has is malformed") {
    for (const Sample &s : SAMPLES) {
        CAPTURE(std::string(s.packet));
        std::string body = hex(s.packet).substr(2) + '\0';
        uint8_t head = static_cast<uint8_t>(hex(s.packet)[0]);
        bool takes_more = packet_type(head) == PacketType::Publish || // as payload
                          body == hex("00 0A 00") || body == hex("00 0A 92 00");
        CHECK(feed(head, body, s.v) == (takes_more && !(s.v != Version::V5 && head == 0x40)));
    }
}

TEST_CASE("mutated packets are decoded or refused, and nothing worse") {
    Random random;
    CAPTURE(seed());
    int good = 0;
    for (int round = 0; round < 60000; round++) {
        const Sample &s = SAMPLES[random.below(sizeof SAMPLES / sizeof *SAMPLES)];
        std::string body = hex(s.packet).substr(2);
        uint8_t head = static_cast<uint8_t>(hex(s.packet)[0]);
        for (size_t n = 1 + random.below(3); n > 0; n--) {
            size_t at = random.below(body.size() + 1);
            char byte = static_cast<char>(random.below(2) ? random.below(256) : random.below(48));
            switch (random.below(6)) {
            case 0: body.insert(at, 1, byte); break;
            case 1: body.erase(at, 1 + random.below(3)); break;
            case 2: body += body.substr(at); break;
            case 3:
                if (random.below(4) == 0) head ^= static_cast<uint8_t>(1u << random.below(8));
                break;
            default:
                if (at < body.size()) body[at] = byte;
            }
        }
        good += feed(head, body, random.below(4) ? s.v : VERSIONS[random.below(3)]);
    }
    CHECK(good > 100);
}
