// What the configuration changes: one copy or many, mount points, QoS, limits.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/mem.h"
#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

static std::string sub_id(size_t n) { return prop_varint(0x0b, n); }

// ---- overlapping subscriptions ---------------------------------------------

TEST_CASE("overlapping subscriptions get a copy each, with its own QoS and identifier [MQTT-3.3.4-5]") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe("a/#", 2, sub_id(2));
    a->subscribe("a/+", 0);
    a->subscribe("a/b", 1, sub_id(1));
    a->take();
    s.publish("a/b", "x", 2);
    std::vector<std::string> got;
    for (const Got &g : a->take()) got.push_back(describe(g).substr(0, 8) + (g.sub_ids.empty() ? "" : " id" + std::to_string(g.sub_ids[0])));
    std::sort(got.begin(), got.end());
    CHECK(got == std::vector<std::string>{"a/b=x", "a/b=x q1 id1", "a/b=x q2 id2"});
}

TEST_CASE("allow_duplicate_messages false: one copy, highest QoS, all identifiers [MQTT-3.3.4-2, -4, N5-52]") {
    Scene s([](Scene *x) { x->options().allow_duplicate_messages = false; });
    SimClient *a = s.connect({.id = "a", .version = 5}), *b = s.connect({.id = "b", .version = 4});
    SimClient *c = s.connect({.id = "c", .version = 5});
    a->subscribe("a/#", 0, sub_id(7));
    a->subscribe("a/+", 2);
    a->subscribe("a/b", 1, sub_id(200'000'000));
    b->subscribe("a/#", 0);
    b->subscribe("+/b", 1);
    c->subscribe("a/#", 1);
    c->subscribe("a/+", 0, sub_id(5));
    for (SimClient *x : {a, b, c}) x->take();
    s.publish("a/b", "x", 2, false, prop_text(0x03, "type"));
    std::vector<Got> got = a->take();
    REQUIRE(got.size() == 1);
    CHECK(got[0].qos() == 2);
    std::sort(got[0].sub_ids.begin(), got[0].sub_ids.end());
    CHECK(got[0].sub_ids == std::vector<uint32_t>{7, 200'000'000});
    CHECK(got[0].props.starts_with(prop_text(0x03, "type")));
    CHECK(b->seen() == "a/b=x q1 #1");
    CHECK(c->seen() == "a/b=x q1 #1 id5");
    s.publish("a/c/d", "y", 2); // only one of each
    CHECK(a->seen() == "a/c/d=y id7");
}

TEST_CASE("merged: the same identifier twice is there twice, also after a reconnect [N5-55]") {
    Scene s([](Scene *x) { x->options().allow_duplicate_messages = false; });
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100)};
    SimClient *a = s.connect(hello);
    a->subscribe("#", 1, sub_id(3));
    a->subscribe("+", 1, sub_id(3));
    a->take();
    s.publish("t", "x", 1, false, message_expiry(60));
    CHECK(a->seen() == "t=x q1 #1 id3 id3 60s");
    a->cut();
    s.world.advance(10'000);
    a = s.connect(hello);
    CHECK(a->seen() == "t=x q1 #1 dup id3 id3 50s");
    a->ack(PUBACK, 1);
    CHECK(s.broker()->messages.count == 0);
    CHECK(s.broker()->messages.bytes == 0);
}

TEST_CASE("merged: No Local takes its own subscription out, not the others [N5-52]") {
    Scene s([](Scene *x) { x->options().allow_duplicate_messages = false; });
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe("#", 0x04, sub_id(1));
    a->publish({.topic = "t", .payload = "own"});
    CHECK(a->seen() == "suback 1 00");
    a->subscribe("t", 0x08, sub_id(2));
    a->publish({.topic = "t", .payload = "own", .retain = true});
    CHECK(a->seen() == "suback 2 00, t=own retain id2");
}

TEST_CASE("merged: shared and plain subscriptions stay apart [N5-60]") {
    Scene s([](Scene *x) { x->options().allow_duplicate_messages = false; });
    SimClient *a = s.connect({.id = "a"});
    a->subscribe("$share/g/t", 0);
    a->subscribe("t", 0);
    a->subscribe("#", 0);
    a->take();
    s.publish("t", "x");
    CHECK(a->seen() == "t=x, t=x");
}

TEST_CASE("merged: no memory for several identifiers loses neither message nor count") {
    Scene s([](Scene *x) { x->options().allow_duplicate_messages = false; });
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe("#", 0, sub_id(1));
    a->subscribe("t", 0, sub_id(2));
    a->take();
    SimClient *p = s.connect({.id = "p"});
    mem_fail_after(2); // the message is made, its copy is not
    p->publish({.topic = "t", .payload = "x"});
    mem_fail_after(0);
    CHECK(a->seen().starts_with("t=x"));
    CHECK(s.broker()->messages.count == 0);
}

// ---- RETAIN and No Local ---------------------------------------------------

TEST_CASE("RETAIN is cleared on live messages but with Retain As Published [MQTT-3.3.1-12, -13]") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5}), *b = s.connect({.id = "b", .version = 5});
    a->subscribe("t", 0);
    b->subscribe("t", 0x08);
    s.publish("t", "1", 0, true);
    s.publish("t", "2", 0, false);
    CHECK(a->seen() == "suback 1 00, t=1, t=2");
    CHECK(b->seen() == "suback 1 00, t=1 retain, t=2");
}

TEST_CASE("No Local is by client id, over a takeover too [MQTT-3.8.3-3, N5-51]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100)};
    s.connect(hello)->subscribe("#", 0x05);
    SimClient *a = s.connect(hello);
    a->publish({.topic = "t", .payload = "own", .qos = 1});
    s.publish("t", "other", 1);
    CHECK(a->seen() == "puback 1 0x10, t=other q1 #1");
}

// ---- QoS -------------------------------------------------------------------

TEST_CASE("messages go out at the lower QoS; upgrade_outgoing_qos at the subscription's [MQTT-3.8.4-8]") {
    for (bool upgrade : {false, true}) {
        Scene s;
        s.options().upgrade_outgoing_qos = upgrade;
        s.publish("t", "kept", 0, true);
        SimClient *a = s.connect({.id = "a"}), *b = s.connect({.id = "b"});
        a->subscribe("t", 2);
        b->subscribe("$share/g/t", 1);
        s.publish("t", "zero", 0);
        if (upgrade) {
            CHECK(a->seen() == "suback 1 02, t=kept q2 #1 retain, t=zero q2 #2");
            CHECK(b->seen() == "suback 1 01, t=zero q1 #1");
        } else {
            CHECK(a->seen() == "suback 1 02, t=kept retain, t=zero");
            CHECK(b->seen() == "suback 1 01, t=zero");
        }
    }
}

// ---- mount points ----------------------------------------------------------

static void mounted(Scene *s) {
    strcpy(World::policy_of(s->web)->mount_point, "house/");
}

TEST_CASE("a mount point is put before every topic and taken off again") {
    Scene s(mounted);
    SimClient *in = s.connect_web({.id = "in", .version = 5, .will_topic = "will"});
    SimClient *out = s.connect({.id = "out"});
    in->subscribe("#", 0);
    out->subscribe("#", 0);
    in->take();
    out->take();
    in->publish({.topic = "t", .payload = "1"});
    out->publish({.topic = "house/u", .payload = "2"});
    out->publish({.topic = "u", .payload = "3"});
    CHECK(in->seen() == "t=1, u=2");
    CHECK(out->seen() == "house/t=1, house/u=2, u=3");
    in->cut();
    CHECK(out->seen() == "house/will=gone");
}

TEST_CASE("behind a mount point: retained, shared, unsubscribed, aliased, by wildcard") {
    Scene s(mounted);
    SimClient *in = s.connect_web({.id = "in", .version = 5, .props = prop_u16(0x22, 5)});
    s.publish("house/r", "kept", 0, true);
    s.publish("r", "outside", 0, true);
    in->subscribe("+", 0);
    CHECK(in->seen() == "suback 1 00, r=kept retain");
    s.publish("house/r", "again");
    CHECK(in->seen() == "r=again"); // by alias, in its short form
    in->unsubscribe("+");
    in->subscribe("$share/g/x", 0);
    s.publish("house/x", "shared");
    CHECK(in->seen() == "unsuback 2 00, suback 3 00, x=shared");
    in->publish({.topic = "r", .payload = "", .retain = true});
    CHECK(s.broker()->messages.count == 1); // only the one outside is left
    in->publish({.topic = "al", .payload = "1", .props = prop_u16(0x23, 1)});
    SimClient *out = s.connect({.id = "out"});
    out->subscribe("#", 0);
    out->take();
    in->publish({.payload = "2", .props = prop_u16(0x23, 1)});
    CHECK(out->seen() == "house/al=2");
}

TEST_CASE("a session that moves between listeners keeps what it subscribed to") {
    Scene s(mounted);
    Hello hello = {.id = "a", .clean = false};
    s.connect_web(hello)->subscribe("t", 1);
    s.publish("house/t", "1", 1);
    SimClient *a = s.connect(hello);
    CHECK(a->seen() == "house/t=1 q1 #1 dup");
}

TEST_CASE("a mount point does not make $SYS of a topic, nor hide one") {
    Scene s(mounted);
    SimClient *in = s.connect_web({.id = "in"});
    in->subscribe("$SYS/#", 0);
    in->subscribe("#", 0);
    in->take();
    s.publish("house/$SYS/x", "mounted");
    CHECK(in->seen().find("$SYS/x=mounted") != std::string::npos);
    s.publish("$other/x", "plain");
    CHECK(in->seen() == "");
}

TEST_CASE("a filter too long with its mount point is refused, the others are not [N5-53]") {
    Scene s(mounted);
    SimClient *in = s.connect_web({.id = "in", .version = 5});
    in->subscribe(std::string(65'530, 'x'), 0);
    CHECK(in->seen() == "suback 1 8f");
    CHECK(router_stats(s.broker()->router).subscriptions == 0);
}

// ---- limits ----------------------------------------------------------------

TEST_CASE("message_size_limit drops what is larger, and acknowledges it [MQTT-3.3.5-2]") {
    Scene s([](Scene *x) { x->options().message_size_limit = 4; });
    SimClient *w = s.connect({.id = "w"});
    w->subscribe("t", 2);
    for (int version : {4, 5}) {
        SimClient *p = s.connect({.id = "p", .version = version});
        p->publish({.topic = "t", .payload = "large"});
        p->publish({.topic = "t", .payload = "large", .qos = 1, .id = 1});
        p->publish({.topic = "t", .payload = "large", .qos = 2, .id = 2});
        p->publish({.topic = "t", .payload = "fits"});
        CHECK(p->seen() == (version == 5 ? "puback 1 0x95, pubrec 2 0x95" : "puback 1, pubrec 2"));
    }
    CHECK(w->seen() == "suback 1 02, t=fits, t=fits");
}

TEST_CASE("memory_limit refuses publishes: 0x97, 3.x is closed; those that are there stay") {
    Scene s;
    SimClient *w = s.connect({.id = "w"}), *p5 = s.connect({.id = "p5", .version = 5});
    SimClient *p4 = s.connect({.id = "p4"});
    s.options().memory_limit = mem_used();
    p5->publish({.topic = "t", .payload = "x", .qos = 1, .id = 1});
    CHECK(p5->seen() == "puback 1 0x97");
    p4->publish({.topic = "t", .payload = "x"}); // QoS 0: dropped
    CHECK(p4->seen() == "");
    p4->publish({.topic = "t", .payload = "x", .qos = 1, .id = 1});
    CHECK(p4->seen() == "closed");
    CHECK(s.open({.id = "new", .version = 5}, s.plain, loopback_addr())->seen() ==
          "connack 0x89, closed");
    CHECK(w->open());
}

TEST_CASE("publish, take over and subscribe survive every failing allocation of a peer's size") {
    for (uint32_t n = 1; n < 6; n++) {
        Scene s;
        SimClient *a = s.connect({.id = "a", .version = 5, .will_topic = "w"});
        a->subscribe("#", 2);
        mem_fail_after(n);
        a->publish({.topic = "t", .payload = std::string(5000, 'x'), .qos = 2});
        s.open({.id = "a", .version = 5, .will_topic = "w"}, s.plain, loopback_addr());
        a->send(std::string("\x30\x20", 2)); // an unfinished one
        mem_fail_after(0);
        CHECK(s.connect({.id = "b"})->open());
    }
}

TEST_CASE("a clientid that clientid_prefixes does not have is refused") {
    Scene s;
    vec_push(&s.options().clientid_prefixes, Bytes("dev-"));
    CHECK(s.open({.id = "x", .version = 4}, s.plain, loopback_addr())->seen() == "connack 0x05, closed");
    CHECK(s.open({.id = "x", .version = 5}, s.plain, loopback_addr())->seen() == "connack 0x87, closed");
    CHECK(s.connect({.id = "dev-1"})->open());
    vec_free(&s.options().clientid_prefixes);
}

TEST_CASE("use_username_as_clientid takes the user name, and insists on one") {
    Scene s([](Scene *x) { x->policy().use_username_as_clientid = true; });
    CHECK(s.connect({.id = "x", .user = "ann"})->open());
    CHECK(session_find(s.broker(), "ann") != nullptr);
    CHECK(session_find(s.broker(), "x") == nullptr);
    CHECK(s.open({.id = "x"}, s.plain, loopback_addr())->seen() == "connack 0x05, closed");
}

TEST_CASE("max_keepalive: 5.0 is told another value, 3.x is refused, and it holds [MQTT-3.1.2-21, -22, N5-7]") {
    Scene s([](Scene *x) { x->options().max_keepalive_s = 60; });
    SimClient *a = s.connect({.id = "a", .version = 5, .keep_alive_s = 0});
    CHECK(a->welcome.props.starts_with(prop_u16(0x13, 60)));
    CHECK(s.open({.id = "b", .keep_alive_s = 61}, s.plain, loopback_addr())->seen() ==
          "connack 0x02, closed");
    s.world.advance(89'000);
    CHECK(a->open());
    s.world.advance(1'500);
    CHECK(a->seen() == "bye 0x8d, closed");
}
