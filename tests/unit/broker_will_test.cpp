// Wills: when they are published, when they wait, when they are dropped.
#include <doctest/doctest.h>

#include "broker/state.h"
#include "sim/sim_client.h"

using namespace sim;

// A watcher of the topic "will", and one client whose will goes there.
struct WillScene : Scene {
    SimClient *watcher = nullptr;
    SimClient *a = nullptr;

    explicit WillScene(uint32_t expiry_s, uint32_t delay_s, bool retain = false) {
        watcher = connect({.id = "watcher", .version = 5});
        watcher->subscribe("will", 2);
        watcher->acks = true;
        watcher->take();
        a = connect(hello(expiry_s, delay_s, retain));
    }
    static Hello hello(uint32_t expiry_s, uint32_t delay_s, bool retain = false, bool clean = false) {
        return {.id = "a", .version = 5, .clean = clean, .props = session_expiry(expiry_s),
                .will_topic = "will", .will_retain = retain,
                .will_props = delay_s ? will_delay(delay_s) : std::string()};
    }
    std::string now() { return watcher->seen(); }
    std::string after(uint64_t ms) {
        world.advance(ms);
        return watcher->seen();
    }
};

enum class Goodbye { Normal, WithWill, OtherCode, Lost, Ended, KeepAlive, BrokenRule };

static void leave(WillScene &s, Goodbye how) {
    switch (how) {
    case Goodbye::Normal: return s.a->disconnect();
    case Goodbye::WithWill: return s.a->disconnect(0x04);
    case Goodbye::OtherCode: return s.a->disconnect(0x83);
    case Goodbye::Lost: return s.a->cut();
    case Goodbye::Ended:
        s.world.finish(s.a->peer);
        return s.world.settle();
    case Goodbye::KeepAlive:
        s.a = s.connect({.id = "a", .version = 5, .clean = false, .keep_alive_s = 10,
                         .props = s.a->hello.props, .will_topic = "will",
                         .will_props = s.a->hello.will_props});
        s.watcher->take();
        return s.world.advance(15'050);
    case Goodbye::BrokenRule: return s.a->send(sim_packet(0xff, ""));
    }
}

TEST_CASE("a will runs by the table of N5-20, whatever the end [MQTT-3.1.2-8, -10, 3.14.4-3]") {
    for (Goodbye how : {Goodbye::Normal, Goodbye::WithWill, Goodbye::OtherCode, Goodbye::Lost,
                        Goodbye::Ended, Goodbye::KeepAlive, Goodbye::BrokenRule}) {
        CAPTURE(static_cast<int>(how));
        bool runs = how != Goodbye::Normal;
        {
            WillScene s(100, 0); // no delay
            leave(s, how);
            CHECK(s.now() == (runs ? "will=gone" : ""));
            CHECK(s.after(200'000) == "");
        }
        {
            WillScene s(100, 10); // a delay shorter than the session
            leave(s, how);
            CHECK(s.now() == "");
            CHECK(s.after(9'900) == "");
            CHECK(s.after(150) == (runs ? "will=gone" : ""));
            CHECK(s.after(200'000) == "");
        }
        {
            WillScene s(10, 100); // the session ends first
            leave(s, how);
            CHECK(s.after(9'900) == "");
            CHECK(s.after(150) == (runs ? "will=gone" : ""));
            CHECK(s.after(200'000) == "");
        }
        {
            WillScene s(0, 100); // the session ends at once
            leave(s, how);
            CHECK(s.now() == (runs ? "will=gone" : ""));
            CHECK(s.after(200'000) == "");
        }
    }
}

TEST_CASE("a delayed will is cancelled by a return with Clean Start 0 [MQTT-3.1.3-9, N5-20]") {
    WillScene s(100, 10);
    s.a->cut();
    s.world.advance(5'000);
    SimClient *b = s.connect({.id = "a", .version = 5, .clean = false, .props = session_expiry(100)});
    CHECK(b->welcome.present);
    CHECK(s.after(100'000) == "");
    b->cut(); // this connection has none [N5-14]
    CHECK(s.after(200'000) == "");
}

TEST_CASE("a return with Clean Start 1 sends the delayed will: its session has ended [N5-20]") {
    WillScene s(100, 10);
    s.a->cut();
    s.world.advance(5'000);
    CHECK(s.now() == "");
    s.connect({.id = "a", .version = 5, .clean = true});
    CHECK(s.now() == "will=gone");
    CHECK(s.after(100'000) == "");
}

TEST_CASE("a return after the delay changes nothing: it was sent already") {
    WillScene s(100, 10);
    s.a->cut();
    CHECK(s.after(11'000) == "will=gone");
    s.connect(WillScene::hello(100, 10));
    CHECK(s.after(100'000) == "");
}

TEST_CASE("the expiry that DISCONNECT brings limits the delay [N5-24]") {
    WillScene s(100, 50);
    s.a->disconnect(0x04, session_expiry(5));
    CHECK(s.after(4'900) == "");
    CHECK(s.after(150) == "will=gone");
    WillScene zero(100, 50);
    zero.a->disconnect(0x04, session_expiry(0));
    CHECK(zero.now() == "will=gone");
}

TEST_CASE("a delay longer than anything, with a session that never ends, waits") {
    WillScene s(UINT32_MAX, UINT32_MAX);
    s.a->cut();
    s.jump(1000ull * 3600 * 24 * 365);
    CHECK(s.now() == "");
}

TEST_CASE("a 3.x will has no delay, also for a durable session") {
    for (bool clean : {true, false}) {
        Scene s;
        SimClient *watcher = s.connect({.id = "w"});
        watcher->subscribe("will", 2);
        SimClient *a = s.connect({.id = "a", .clean = clean, .will_topic = "will", .will_qos = 2});
        a->cut();
        CHECK(watcher->seen() == "suback 1 02, will=gone q2 #1");
    }
}

TEST_CASE("a retained will is kept, an empty one clears [MQTT-3.1.2-14, -15, 3.1.3-10]") {
    WillScene s(0, 0, true);
    s.a->cut();
    SimClient *late = s.connect({.id = "late"});
    late->subscribe("will", 0);
    CHECK(late->seen() == "suback 1 00, will=gone retain");
    s.connect({.id = "b", .will_topic = "will", .will_payload = "", .will_retain = true})->cut();
    CHECK(s.broker()->messages.count == 0);
}

TEST_CASE("a will that is not retained is not kept [MQTT-3.1.2-14]") {
    WillScene s(0, 0, false);
    s.a->cut();
    SimClient *late = s.connect({.id = "late"});
    late->subscribe("will", 0);
    CHECK(late->seen() == "suback 1 00");
}

TEST_CASE("a will's properties go on, but its delay; its expiry counts from publication [N5-21]") {
    Scene s;
    SimClient *watcher = s.connect({.id = "w", .version = 5});
    watcher->subscribe("will", 1);
    watcher->take();
    std::string user = "\x26" + sim_text("k") + sim_text("v");
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100),
                   .will_topic = "will", .will_qos = 1,
                   .will_props = user + will_delay(20) + message_expiry(7) + prop_text(0x03, "x")};
    s.connect(hello)->cut();
    s.world.advance(20'010);
    std::vector<Got> got = watcher->take();
    REQUIRE(got.size() == 1);
    CHECK(describe(got[0]) == "will=gone q1 #1 7s");
    CHECK(got[0].props == user + message_expiry(7) + prop_text(0x03, "x"));
}

TEST_CASE("a client whose session goes on gets its own will when it is back [N5-51]") {
    for (bool no_local : {false, true}) {
        Scene s;
        Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100),
                       .will_topic = "will", .will_qos = 1};
        SimClient *a = s.connect(hello);
        a->subscribe("will", no_local ? 0x05 : 0x01);
        a->cut();
        a = s.connect(hello);
        CHECK(a->seen() == (no_local ? "" : "will=gone q1 #1")); // it counts as its own
    }
}

TEST_CASE("a will reaches the newcomer's watchers before what the newcomer publishes") {
    WillScene s(0, 0);
    SimClient *b = s.connect({.id = "a", .version = 5});
    b->publish({.topic = "will", .payload = "back"});
    CHECK(s.now() == "will=gone, will=back");
}

TEST_CASE("a will that is not allowed refuses the CONNECT [MQTT-3.2.2-12, -13, N5-23]") {
    Scene s([](Scene *x) {
        x->policy().max_qos = 1;
        x->options().retain_available = false;
        x->options().message_size_limit = 10;
    });
    auto answer = [&s](int version, Hello h) {
        h.version = version;
        h.will_topic = h.will_topic.empty() ? "will" : h.will_topic;
        return s.open(h, s.plain, loopback_addr())->seen();
    };
    CHECK(answer(5, {.will_qos = 2}) == "connack 0x9b, closed");
    CHECK(answer(5, {.will_retain = true}) == "connack 0x9a, closed");
    CHECK(answer(5, {.will_payload = "more than ten"}) == "connack 0x95, closed");
    CHECK(answer(5, {.will_topic = "$CONTROL/x"}) == "connack 0x87, closed");
    CHECK(answer(4, {.will_payload = "more than ten"}) == "connack 0x05, closed");
    CHECK(answer(5, {.will_payload = "fits"}) == "connack");
}

TEST_CASE("a stop sends the wills that are due, and keeps those that have to wait [N5-22]") {
    for (uint32_t delay : {0u, 100u}) {
        WillScene s(1000, delay);
        s.publish("x", "y");
        broker_stop(s.broker());
        s.world.settle();
        CHECK(s.watcher->seen() == (delay ? "bye 0x8b, closed" : "will=gone, bye 0x8b, closed"));
        CHECK(s.a->seen() == "bye 0x8b, closed");
    }
}
