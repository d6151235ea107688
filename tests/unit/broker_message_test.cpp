#include <doctest/doctest.h>

#include <string>

#include "base/mem.h"
#include "broker/message.h"

namespace {

// What a PUBLISH with these raw properties decodes to.
Publish publish_with(const std::string &body) {
    Publish p;
    REQUIRE(publish_decode(body, 0x30, Version::V5, &p) == Reason::Success);
    return p;
}

const std::string TOPIC = std::string("\0\1t", 3);

} // namespace

TEST_CASE("a message holds topic, properties and payload in one block") {
    size_t before = mem_used();
    MessageStats stats;
    // Topic Alias (23), Content Type (03), Subscription data of our own: (26)
    std::string raw = std::string("\x23\0\1\x03\0\1c\x26\0\1k\0\1v", 14);
    std::string body = TOPIC + static_cast<char>(raw.size()) + raw + "payload";
    Publish p = publish_with(body);
    MessageParts parts;
    parts.mount_point = "home/";
    parts.topic = p.topic;
    parts.payload = p.payload;
    parts.props = &p.props;
    parts.qos = 2;
    parts.retain = true;
    Message *m = message_new(parts, 7, 1000, &stats);
    REQUIRE(m);
    CHECK(message_topic(m) == "home/t");
    CHECK(message_payload(m) == "payload");
    CHECK(message_props(m) == Bytes(raw).substr(3)); // [MQTT-3.3.2-8]: no alias
    CHECK((m->qos == 2));
    CHECK((m->retain == 1));
    CHECK(m->seq == 7);
    CHECK(m->expires_ms == NEVER_MS);
    CHECK(message_expiry_left_s(m, 99999) == NO_EXPIRY);
    CHECK(stats.count == 1);
    CHECK(stats.bytes == 7);
    message_release(message_hold(m), &stats);
    CHECK(stats.count == 1);
    message_release(m, &stats);
    CHECK(stats.count == 0);
    CHECK(stats.bytes == 0);
    CHECK(mem_used() == before);
}

TEST_CASE("the seconds left of an expiry are rounded up until it is over [MQTT-3.3.2-6]") {
    MessageStats stats;
    std::string raw = std::string("\x02\0\0\0\x0a", 5); // ten seconds
    std::string body = TOPIC + static_cast<char>(raw.size()) + raw;
    Publish p = publish_with(body);
    MessageParts parts;
    parts.topic = p.topic;
    parts.props = &p.props;
    Message *m = message_new(parts, 1, 5000, &stats);
    REQUIRE(m);
    CHECK(m->expiry_at == 2);
    CHECK(m->expires_ms == 15000);
    CHECK(message_expiry_left_s(m, 5000) == 10);
    CHECK(message_expiry_left_s(m, 5001) == 10);
    CHECK(message_expiry_left_s(m, 6000) == 9);
    CHECK(message_expiry_left_s(m, 14999) == 1);
    CHECK_FALSE(message_expired(m, 14999));
    CHECK(message_expired(m, 15000));
    CHECK(message_expiry_left_s(m, 15000) == 0);
    message_release(m, &stats);
}

TEST_CASE("an expiry of zero seconds is over at once") {
    MessageStats stats;
    std::string raw = std::string("\x02\0\0\0\0", 5);
    std::string body = TOPIC + static_cast<char>(raw.size()) + raw;
    Publish p = publish_with(body);
    MessageParts parts;
    parts.topic = p.topic;
    parts.props = &p.props;
    Message *m = message_new(parts, 1, 5000, &stats);
    REQUIRE(m);
    CHECK(message_expired(m, 5000));
    message_release(m, &stats);
}

TEST_CASE("a message without memory or with too long a topic is not made") {
    size_t before = mem_used();
    MessageStats stats;
    MessageParts parts;
    parts.topic = "t";
    mem_fail_after(1);
    CHECK(message_new(parts, 1, 0, &stats) == nullptr);
    std::string longest(65535, 'x');
    parts.topic = longest;
    Message *m = message_new(parts, 1, 0, &stats);
    REQUIRE(m);
    CHECK(message_topic(m) == longest);
    message_release(m, &stats);
    parts.mount_point = "m";
    CHECK(message_new(parts, 1, 0, &stats) == nullptr);
    CHECK(stats.count == 0);
    CHECK(mem_used() == before);
}

TEST_CASE("a name lives as long as a message that it published") {
    size_t before = mem_used();
    MessageStats stats;
    NamePool names;
    name_pool_init(&names);
    Name *name = name_new(&names, "sensor-0123456789");
    CHECK(name_text(name) == "sensor-0123456789");
    MessageParts parts;
    parts.topic = "t";
    parts.source = name;
    Message *m = message_new(parts, 1, 0, &stats);
    REQUIRE(m);
    name_release(name);
    CHECK(name_text(m->source) == "sensor-0123456789");
    message_release(m, &stats);
    CHECK(name_text(nullptr).empty());
    Name *empty = name_new(&names, "");
    CHECK(name_text(empty).empty());
    name_release(empty);
    name_release(nullptr);
    CHECK(mem_used() == before);
}
