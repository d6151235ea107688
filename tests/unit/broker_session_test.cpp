// Sessions: made, resumed, expired, begun anew, taken over.
#include "broker/session.h"

#include <doctest/doctest.h>

#include "sim/sim_client.h"

using namespace sim;

static bool exists(Scene &s, Bytes id) { return session_find(s.broker(), id) != nullptr; }

TEST_CASE("a clean 3.x session ends with its connection [MQTT-3.1.2-6, N5-17]") {
    for (int version : {3, 4}) {
        CAPTURE(version);
        Scene s;
        SimClient *a = s.connect({.id = "a", .version = version});
        CHECK_FALSE(a->welcome.present);
        a->subscribe("t", 1);
        CHECK(exists(s, "a"));
        a->cut();
        CHECK_FALSE(exists(s, "a"));
        CHECK(router_stats(s.broker()->router).subscriptions == 0);
    }
}

TEST_CASE("a durable 3.x session waits for its client, and never expires by itself [N5-17]") {
    for (int version : {3, 4}) {
        CAPTURE(version);
        Scene s;
        Hello hello = {.id = "a", .version = version, .clean = false};
        SimClient *a = s.connect(hello);
        CHECK_FALSE(a->welcome.present);
        a->subscribe("t", 1);
        a->disconnect();
        s.jump(400ull * 24 * 3600 * 1000);
        s.publish("t", "one", 1);
        a = s.connect(hello);
        CHECK(a->welcome.present == (version != 3)); // 3.1 has no such flag
        CHECK(a->seen() == "t=one q1 #1");
    }
}

TEST_CASE("persistent_client_expiration ends absent sessions that would never expire") {
    Scene s([](Scene *x) { x->options().persistent_client_expiration_s = 3600; });
    s.connect({.id = "a", .clean = false})->disconnect();
    s.connect({.id = "b", .version = 5, .clean = false, .props = session_expiry(UINT32_MAX)})->cut();
    s.connect({.id = "c", .version = 5, .clean = false, .props = session_expiry(7200)})->cut();
    SimClient *online = s.connect({.id = "d", .clean = false});
    s.world.advance(3599'000);
    CHECK(exists(s, "a"));
    CHECK(exists(s, "b"));
    s.world.advance(1'100);
    CHECK_FALSE(exists(s, "a"));
    CHECK_FALSE(exists(s, "b"));
    CHECK(exists(s, "c"));
    CHECK(online->open());
    CHECK(s.broker()->stats.expired_sessions == 2);
}

TEST_CASE("Session Expiry counts from the end of the connection [MQTT-3.1.2-23, N5-12, N5-18]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(10)};
    s.connect(hello)->subscribe("t", 1);
    s.world.advance(60'000); // connected: nothing runs
    CHECK(exists(s, "a"));
    s.clients[0]->cut();
    s.world.advance(9'000);
    SimClient *a = s.connect(hello);
    CHECK(a->welcome.present);
    a->cut();
    s.world.advance(9'990); // from the new end
    CHECK(exists(s, "a"));
    s.world.advance(30);
    CHECK_FALSE(exists(s, "a"));
    CHECK(s.broker()->router != nullptr);
    CHECK(router_stats(s.broker()->router).subscriptions == 0);
    CHECK_FALSE(s.connect(hello)->welcome.present);
}

TEST_CASE("no Session Expiry means 0: the session ends with the connection [N5-11, N5-12]") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5, .clean = false});
    CHECK_FALSE(a->welcome.present);
    a->cut();
    CHECK_FALSE(exists(s, "a"));
}

TEST_CASE("the largest Session Expiry never runs out, the one below it does [N5-12]") {
    Scene s;
    s.connect({.id = "never", .version = 5, .clean = false, .props = session_expiry(UINT32_MAX)})->cut();
    s.connect({.id = "late", .version = 5, .clean = false, .props = session_expiry(UINT32_MAX - 1)})->cut();
    s.jump((UINT32_MAX - 2ull) * 1000);
    CHECK(exists(s, "never"));
    CHECK(exists(s, "late"));
    s.world.advance(2'000);
    CHECK(exists(s, "never"));
    CHECK_FALSE(exists(s, "late"));
}

TEST_CASE("each CONNECT sets the expiry anew [N5-14]") {
    Scene s;
    s.connect({.id = "a", .version = 5, .clean = false, .props = session_expiry(1000)})->cut();
    SimClient *a = s.connect({.id = "a", .version = 5, .clean = false, .props = session_expiry(5)});
    CHECK(a->welcome.present);
    a->cut();
    s.world.advance(5'020);
    CHECK_FALSE(exists(s, "a"));
}

TEST_CASE("DISCONNECT changes the expiry, shorter, longer, or to 0 [N5-11, N5-13]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(10)};
    s.connect(hello)->disconnect(0, session_expiry(100));
    s.world.advance(99'000);
    CHECK(exists(s, "a"));
    s.connect(hello)->disconnect(4, session_expiry(1));
    s.world.advance(1'020);
    CHECK_FALSE(exists(s, "a"));
    s.connect(hello)->disconnect(0, session_expiry(0));
    CHECK_FALSE(exists(s, "a"));
}

TEST_CASE("DISCONNECT cannot make a session durable that began with expiry 0 [N5-13]") {
    for (bool says_zero : {false, true}) {
        CAPTURE(says_zero);
        Scene s;
        SimClient *watcher = s.connect({.id = "w"});
        watcher->subscribe("will", 0);
        SimClient *a = s.connect({.id = "a", .version = 5, .clean = false,
                                  .props = says_zero ? session_expiry(0) : "",
                                  .will_topic = "will"});
        a->disconnect(0, session_expiry(10));
        CHECK(a->seen() == "bye 0x82, closed");
        CHECK(watcher->seen() == "suback 1 00, will=gone"); // it was no valid DISCONNECT
        CHECK_FALSE(exists(s, "a"));
        a = s.connect({.id = "a", .version = 5, .props = says_zero ? session_expiry(0) : ""});
        a->disconnect(0, session_expiry(0)); // the same again is fine
        CHECK(a->seen() == "closed");
    }
}

TEST_CASE("Clean Start ends what was there: subscriptions, queue, flight [MQTT-3.1.2-4]") {
    for (int version : {4, 5}) {
        CAPTURE(version);
        Scene s;
        std::string props = session_expiry(100);
        SimClient *a = s.connect({.id = "a", .version = version, .clean = false, .props = props});
        a->subscribe("t", 2);
        s.publish("t", "in flight", 2);
        a->cut();
        s.publish("t", "queued", 1);
        a = s.connect({.id = "a", .version = version, .clean = true, .props = props});
        CHECK_FALSE(a->welcome.present); // [MQTT-3.2.2-2]
        s.publish("t", "live", 1);
        CHECK(a->seen() == "");
        CHECK(s.broker()->messages.count == 0);
        a->cut();
        // 3.x: clean means that this one ends too; 5.0: it has its expiry.
        CHECK(exists(s, "a") == (version == 5));
    }
}

TEST_CASE("durable, then clean, then durable again: nothing of the first is left") {
    Scene s;
    s.connect({.id = "a", .clean = false})->subscribe("t", 1);
    s.clients[0]->cut();
    s.connect({.id = "a", .clean = true})->cut();
    CHECK_FALSE(s.connect({.id = "a", .clean = false})->welcome.present);
    CHECK(router_stats(s.broker()->router).subscriptions == 0);
}

TEST_CASE("Session Present is told even when the session is empty [MQTT-3.2.2-3, N5-16]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100)};
    CHECK_FALSE(s.connect(hello)->welcome.present);
    s.clients[0]->cut();
    CHECK(s.connect(hello)->welcome.present);
}

TEST_CASE("a session crosses protocol versions") {
    Scene s;
    s.connect({.id = "a", .version = 4, .clean = false})->subscribe("t", 2);
    s.clients[0]->cut();
    s.publish("t", "one", 2, false, prop_text(0x03, "text/plain"));
    SimClient *a = s.connect({.id = "a", .version = 5, .clean = false, .props = session_expiry(9)});
    CHECK(a->welcome.present);
    CHECK(a->seen() == "t=one q2 #1");
    a->cut();
    a = s.connect({.id = "a", .version = 3, .clean = false});
    CHECK(a->seen() == "t=one q2 #1 dup");
}

TEST_CASE("a subscription made by an earlier connection counts as existing [N5-49]") {
    Scene s;
    s.publish("t", "kept", 0, true);
    Hello hello = {.id = "a", .version = 5, .clean = false, .props = session_expiry(100)};
    SimClient *a = s.connect(hello);
    a->subscribe("t", 0x10); // Retain Handling 1: only if it is new
    CHECK(a->seen() == "suback 1 00, t=kept retain");
    a->cut();
    a = s.connect(hello);
    a->subscribe("t", 0x10);
    CHECK(a->seen() == "suback 1 00");
}

TEST_CASE("ids that are made up are new, told to 5.0, and good for coming back [N5-8]") {
    Scene s;
    SimClient *a = s.connect({.id = "", .version = 5, .props = session_expiry(100)});
    SimClient *b = s.connect({.id = "", .version = 5});
    std::string id = a->welcome.assigned_id;
    CHECK(id.size() == 41);
    CHECK(id != b->welcome.assigned_id);
    a->cut();
    CHECK(s.connect({.id = id, .version = 5, .clean = false})->welcome.present);
    SimClient *c = s.connect({.id = "", .version = 4});
    CHECK(c->open());
    c = s.open({.id = "", .version = 4, .clean = false}, s.plain, loopback_addr());
    CHECK(c->seen() == "connack 0x02, closed"); // [MQTT-3.1.3-8]
}

// ---- takeover --------------------------------------------------------------

struct Takeover {
    int old_version, new_version;
    bool old_durable, new_clean;
    uint32_t delay_s;
};

static void check_takeover(const Takeover &t) {
    CAPTURE(t.old_version);
    CAPTURE(t.new_version);
    CAPTURE(t.old_durable);
    CAPTURE(t.new_clean);
    CAPTURE(t.delay_s);
    Scene s;
    SimClient *watcher = s.connect({.id = "watcher"});
    watcher->subscribe("will", 0);
    SimClient *old = s.connect({.id = "a", .version = t.old_version, .clean = !t.old_durable,
                                .props = t.old_durable ? session_expiry(1000) : "",
                                .will_topic = "will",
                                .will_props = t.delay_s ? will_delay(t.delay_s) : ""});
    old->subscribe("t", 1);
    s.publish("t", "one", 1);
    CHECK(old->seen() == "suback 1 01, t=one q1 #1");
    SimClient *now = s.connect({.id = "a", .version = t.new_version, .clean = t.new_clean,
                                .props = session_expiry(1000)});
    // [MQTT-3.1.4-3]; 3.x is never told [N5-89].
    CHECK(old->seen() == (t.old_version == 5 ? "bye 0x8e, closed" : "closed"));
    bool present = t.old_durable && !t.new_clean;
    CHECK(now->welcome.present == present);
    CHECK(now->seen() == (present ? "t=one q1 #1 dup" : ""));
    bool has_delay = t.old_version == 5 && t.delay_s;
    bool will_runs = !has_delay || !present;
    CHECK(watcher->seen() == (will_runs ? "suback 1 00, will=gone" : "suback 1 00"));
    s.world.advance(2000'000);
    CHECK(watcher->seen() == ""); // neither later nor twice
    s.publish("t", "two", 1);
    if (present) CHECK(now->seen() == "t=two q1 #2");
    else CHECK(now->seen() == "");
    CHECK(s.log.has("session taken over"));
}

TEST_CASE("a second connection takes over, in every combination [MQTT-3.1.4-3, N5-2, N5-20]") {
    for (int old_version : {3, 4, 5})
        for (int new_version : {4, 5})
            for (bool old_durable : {false, true})
                for (bool new_clean : {false, true})
                    for (uint32_t delay_s : {0u, 50u})
                        check_takeover({old_version, new_version, old_durable, new_clean, delay_s});
}

TEST_CASE("a refused CONNECT leaves the connected client of that id alone") {
    Scene s([](Scene *x) { x->policy().accept_v31 = false; });
    SimClient *a = s.connect({.id = "a", .will_topic = "will"});
    SimClient *b = s.open({.id = "a", .version = 3}, s.plain, loopback_addr());
    CHECK(b->seen() == "connack 0x01, closed");
    CHECK(a->open());
    CHECK(a->seen() == "");
}

TEST_CASE("a takeover costs no place under global_max_clients, a newcomer does [N5-2]") {
    Scene s([](Scene *x) { x->options().global_max_clients = 2; });
    s.connect({.id = "a", .clean = false})->cut(); // absent ones count
    s.connect({.id = "b"});
    CHECK(s.open({.id = "c", .version = 5}, s.plain, loopback_addr())->seen() ==
          "connack 0x89, closed");
    CHECK(s.open({.id = "c", .version = 4}, s.plain, loopback_addr())->seen() == "closed");
    CHECK(s.connect({.id = "b"})->open());
    CHECK(s.connect({.id = "a", .clean = false})->welcome.present);
}
