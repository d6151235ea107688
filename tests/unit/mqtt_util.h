// tests/unit/mqtt_util.h -- what the tests of the mqtt room share.
#pragma once

#include <doctest/doctest.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <memory>
#include <string>
#include <vector>

#include "mqtt/packets.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

namespace mqtt_test {

constexpr Version VERSIONS[] = {Version::V31, Version::V311, Version::V5};

// "82 08 00" and the like; blanks are skipped.
inline std::string hex(const char *text) {
    std::string out;
    for (; *text; text++) {
        if (*text == ' ') continue;
        char digits[3] = {text[0], text[1], 0};
        out += static_cast<char>(strtoul(digits, nullptr, 16));
        text++;
    }
    return out;
}

inline std::string to_hex(Bytes v) {
    std::string out;
    char digits[4];
    for (char c : v) {
        snprintf(digits, sizeof digits, "%02X", static_cast<uint8_t>(c));
        out += out.empty() ? "" : " ";
        out += digits;
    }
    return out;
}

// Length and text.
inline std::string str16(const std::string &text) {
    std::string out;
    out += static_cast<char>(text.size() >> 8);
    out += static_cast<char>(text.size());
    return out + text;
}

inline std::string varint(size_t n) {
    std::string out;
    for (; n >= 128; n >>= 7) out += static_cast<char>((n & 0x7F) | 0x80);
    return out + static_cast<char>(n);
}

// Properties with their length in front.
inline std::string props(const std::string &raw) { return varint(raw.size()) + raw; }

// A copy in a heap block of exactly its size: ASan sees one byte too far.
struct Exact {
    std::unique_ptr<char[]> block;
    Bytes bytes;
    explicit Exact(const std::string &v) : block(new char[v.size()]) {
        if (!v.empty()) memcpy(block.get(), v.data(), v.size());
        bytes = Bytes(block.get(), v.size());
    }
};

// Decodes a body as the packet that `head` names; true if it is good. What a
// good packet holds is walked through, as the broker would.
inline bool feed(uint8_t head, const std::string &body, Version v) {
    Exact in(body);
    switch (packet_type(head)) {
    case PacketType::Connect: {
        Connect c;
        ConnectError e;
        bool good = connect_decode(in.bytes, head, &c, &e);
        REQUIRE(e.what != nullptr);
        if (!good) return false;
        CHECK(utf8_valid(c.client_id));
        CHECK(utf8_valid(c.user_name));
        CHECK(c.has_will == topic_name_valid(c.will.topic));
        return true;
    }
    case PacketType::Publish: {
        Publish p;
        if (publish_decode(in.bytes, head, v, &p) != Reason::Success) return false;
        CHECK((p.qos == 0) == (p.id == 0));
        CHECK((p.topic.empty() || topic_name_valid(p.topic)));
        ForwardProps f = publish_forward_props(p.props, nullptr);
        REQUIRE(f.size <= p.props.raw.size());
        Exact out(std::string(f.size, 'x'));
        ForwardProps again = publish_forward_props(p.props, out.block.get());
        CHECK(again.size == f.size);
        CHECK(again.expiry_at == f.expiry_at);
        return true;
    }
    case PacketType::Puback:
    case PacketType::Pubrec:
    case PacketType::Pubrel:
    case PacketType::Pubcomp: {
        Ack a;
        if (ack_decode(in.bytes, head, v, &a) != Reason::Success) return false;
        CHECK(a.id != 0);
        return true;
    }
    case PacketType::Subscribe: {
        Subscribe s;
        if (subscribe_decode(in.bytes, head, v, &s) != Reason::Success) return false;
        uint32_t n = 0;
        SubscribeFilter f;
        for (Bytes rest = s.filters; subscribe_next(&rest, v, &f); n++) {
            CHECK(topic_filter_valid(f.filter));
            CHECK(f.qos < 3);
        }
        CHECK(n == s.count);
        CHECK(n > 0);
        return true;
    }
    case PacketType::Unsubscribe: {
        Subscribe s;
        if (unsubscribe_decode(in.bytes, head, v, &s) != Reason::Success) return false;
        uint32_t n = 0;
        Bytes f;
        for (Bytes rest = s.filters; unsubscribe_next(&rest, &f); n++)
            CHECK(topic_filter_valid(f));
        CHECK(n == s.count);
        CHECK(n > 0);
        return true;
    }
    case PacketType::Pingreq: return pingreq_decode(in.bytes, head, v) == Reason::Success;
    case PacketType::Disconnect: {
        Disconnect d;
        return disconnect_decode(in.bytes, head, v, &d) == Reason::Success;
    }
    case PacketType::Auth: {
        Auth a;
        return auth_decode(in.bytes, head, &a) == Reason::Success;
    }
    default: return false;
    }
}

// The same for a whole packet, written as in the standard's examples.
inline bool feed_packet(const char *text, Version v) {
    std::string packet = hex(text);
    PacketHead h;
    REQUIRE(packet_head_decode(packet, &h) == Cut::Whole);
    REQUIRE(packet.size() == size_t{h.head_size} + h.body_size);
    return feed(h.head, packet.substr(h.head_size), v);
}

// KNUT_SEED repeats a run.
inline uint64_t seed() {
    static uint64_t value = 0;
    if (value) return value;
    const char *given = getenv("KNUT_SEED");
    value = given ? strtoull(given, nullptr, 0) : static_cast<uint64_t>(time(nullptr)) | 1;
    printf("mqtt tests: KNUT_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
}

struct Random { // xorshift
    uint64_t state = seed() * 0x9E3779B97F4A7C15u | 1;
    size_t below(size_t n) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<size_t>((state >> 11) % n);
    }
};

} // namespace mqtt_test
