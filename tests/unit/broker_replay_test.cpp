// Retained messages on their way to a new subscription.
#include "broker/replay.h"

#include <doctest/doctest.h>

#include <set>

#include "base/mem.h"
#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

constexpr int MANY = 10'000;

static std::string topic_of(int i) { return "r/" + std::to_string(i); }

// A scene with MANY retained messages below "r/".
struct Archive : Scene {
    explicit Archive(uint8_t qos = 1, int count = MANY) {
        SimClient *p = connect({.id = "filler"});
        std::string burst;
        for (int i = 0; i < count; i++)
            burst += publish_packet({.topic = topic_of(i), .payload = std::to_string(i), .qos = qos,
                                     .id = 1, .retain = true}, 4);
        if (qos == 2) {
            for (int i = 0; i < count; i++)
                p->send(publish_packet({.topic = topic_of(i), .payload = std::to_string(i), .qos = 2,
                                        .id = 1, .retain = true}, 4) + sim_packet(0x62, sim_u16(1)));
        } else {
            p->send(burst);
        }
        p->disconnect();
        p->take();
    }
    Hello durable(uint16_t window) {
        return {.id = "a", .version = 5, .clean = false,
                .props = session_expiry(1000) + receive_maximum(window)};
    }
};

// Collects retained messages by topic; none may come twice, but for one that
// was on its way when the connection was cut.
struct Collection {
    std::set<std::string> topics;
    std::string fault;

    void add(const std::vector<Got> &all) {
        for (const Got &g : all) {
            if (g.type != PUBLISH) continue;
            if (!g.retain() || topic_of(std::stoi(g.payload)) != g.topic) fault = describe(g);
            if (!topics.insert(g.topic).second && !g.dup()) fault = "twice: " + describe(g);
        }
    }
};

static void check_slow_reader(uint8_t qos, bool web) {
    CAPTURE(qos);
    Archive s(qos);
    SimClient *a = web ? s.connect_web({.id = "a"}) : s.connect({.id = "a"});
    a->acks = true;
    s.world.stop_reading(a->peer);
    size_t before = mem_used();
    a->subscribe("r/#", qos);
    size_t most = mem_used();
    Collection got;
    for (int round = 0; round < 2000 && got.topics.size() < MANY; round++) {
        s.world.stop_reading(a->peer, 4000); // so much, and no more for now
        s.world.settle();
        most = std::max(most, mem_used());
        got.add(a->take());
    }
    s.world.resume_reading(a->peer);
    s.world.settle();
    got.add(a->take());
    CHECK(got.fault == "");
    CHECK(got.topics.size() == MANY);
    CHECK(most < before + 200'000);
    CHECK(s.broker()->stats.publish_dropped == 0);
    CHECK(session_find(s.broker(), "a")->traffic == nullptr);
}

TEST_CASE("10,000 retained messages reach a slow reader exactly once, in bounded memory [MQTT-3.3.1-9]") {
    check_slow_reader(0, false);
    check_slow_reader(1, true);
    check_slow_reader(2, false);
}

TEST_CASE("a window of 1 gets all of 10,000, one by one [MQTT-4.9.0-2]") {
    Archive s;
    SimClient *a = s.connect(s.durable(1));
    a->subscribe("r/#", 1);
    CHECK(a->seen().starts_with("suback 1 01, r/0=0 q1 #1 retain")); // and no second one
    Collection got;
    got.topics.insert("r/0");
    a->ack(PUBACK, 1);
    for (int i = 1; i < MANY; i++) {
        std::vector<Got> next = a->take();
        REQUIRE(next.size() == 1);
        got.add(next);
        a->ack(PUBACK, next[0].id);
    }
    CHECK(got.fault == "");
    CHECK(got.topics.size() == MANY);
    CHECK(a->seen() == "");
}

TEST_CASE("a replay that was cut goes on after the return of a durable session") {
    for (uint8_t qos = 1; qos <= 2; qos++) {
        CAPTURE(qos);
        Archive s(qos, 1000);
        SimClient *a = s.connect(s.durable(7));
        a->subscribe("r/#", qos);
        Collection got;
        for (int round = 0; round < 30; round++) {
            a->acks = true;
            for (int i = 0; i < 3; i++) {
                got.add(a->take(400)); // answers some
            }
            a->cut(); // and loses what else was under way
            a = s.connect(s.durable(static_cast<uint16_t>(1 + round % 9)));
            REQUIRE(a->welcome.present);
        }
        a->acks = true;
        got.add(a->take());
        CHECK(got.fault == "");
        CHECK(got.topics.size() == 1000);
        CHECK(session_find(s.broker(), "a")->traffic == nullptr);
    }
}

TEST_CASE("a clean session's replay ends with it") {
    Archive s;
    SimClient *a = s.connect({.id = "a"});
    s.world.stop_reading(a->peer);
    a->subscribe("r/#", 1);
    a->cut();
    CHECK(session_find(s.broker(), "a") == nullptr);
    CHECK(s.broker()->replays == nullptr);
    s.world.advance(1000);
}

TEST_CASE("UNSUBSCRIBE ends the replay; what is in flight is completed [MQTT-3.10.4-2, -3]") {
    Archive s(1, 100);
    SimClient *a = s.connect(s.durable(2));
    a->subscribe("r/#", 1);
    CHECK(a->seen() == "suback 1 01, r/0=0 q1 #1 retain, r/1=1 q1 #2 retain");
    a->unsubscribe("r/#");
    CHECK(a->seen() == "unsuback 2 00");
    a->ack(PUBACK, 1);
    a->ack(PUBACK, 2);
    CHECK(a->seen() == "");
    CHECK(session_find(s.broker(), "a")->traffic == nullptr);
}

TEST_CASE("UNSUBSCRIBE of one filter leaves another's replay alone") {
    Archive s(1, 6);
    SimClient *a = s.connect(s.durable(1));
    a->subscribe("r/#", 1);
    a->subscribe("r/+", 1);
    a->unsubscribe("r/#");
    a->acks = true;
    Collection got;
    std::vector<Got> all = a->take();
    CHECK(all.size() == 2 + 1 + 1 + 6); // SUBACKs, UNSUBACK, one of r/#, all of r/+
}

TEST_CASE("what is newer than the subscription comes live, and not again from the store") {
    Archive s(1, 50);
    SimClient *a = s.connect(s.durable(1));
    a->subscribe("r/#", 1);
    s.publish("r/40", "40", 1, true); // before the cursor is there
    s.publish("r/new", "live", 1, true);
    a->acks = true;
    int times = 0, live = 0, fresh = 0;
    for (const Got &g : a->take()) {
        if (g.topic == "r/40") times++;
        if (g.topic == "r/40" && !g.retain()) live++;
        if (g.topic == "r/new") fresh++;
    }
    CHECK(times == 1);
    CHECK(live == 1);
    CHECK(fresh == 1);
}

TEST_CASE("what was removed or has expired meanwhile is not sent [N5-39, MQTT-3.3.1-6]") {
    Scene s;
    s.publish("r/1", "1", 1, true);
    s.publish("r/2", "2", 1, true, message_expiry(5));
    s.publish("r/3", "3", 1, true);
    s.publish("r/4", "4", 1, true, message_expiry(50));
    SimClient *a = s.connect({.id = "a", .version = 5, .props = receive_maximum(1)});
    a->subscribe("r/#", 1);
    CHECK(a->seen() == "suback 1 01, r/1=1 q1 #1 retain");
    s.publish("r/3", "", 1, true);
    s.world.advance(6'000);
    a->acks = true;
    a->ack(PUBACK, 1);
    // First the clearing message, live and queued before; then the rest.
    CHECK(a->seen() == "r/3= q1 #2, r/4=4 q1 #3 retain 44s");
}

TEST_CASE("a replay follows Retain Handling, and a repeated SUBSCRIBE begins it anew [MQTT-3.8.4-3, 3.3.1-10, -11]") {
    Archive s(0, 2);
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe("r/#", 0x20);
    CHECK(a->seen() == "suback 1 00");
    a->subscribe("r/#", 0x10);
    CHECK(a->seen() == "suback 2 00");
    a->subscribe("r/#", 0x00);
    CHECK(a->seen() == "suback 3 00, r/0=0 retain, r/1=1 retain");
    a->subscribe("r/#", 0x00);
    CHECK(a->seen() == "suback 4 00, r/0=0 retain, r/1=1 retain");
}

TEST_CASE("retained messages come at the lower QoS, with the identifier, never one's own with No Local [N5-44]") {
    Scene s;
    s.publish("t", "kept", 2, true);
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe("t", 1, prop_varint(0x0b, 268'435'455));
    CHECK(a->seen() == "suback 1 01, t=kept q1 #1 retain id268435455");
    a->publish({.topic = "u", .payload = "mine", .retain = true});
    a->subscribe("u", 0x04);
    CHECK(a->seen() == "suback 2 00");
    a->subscribe("u", 0x00);
    CHECK(a->seen() == "suback 3 00, u=mine retain");
}

TEST_CASE("the SUBACK comes before its retained messages, parents before children") {
    Scene s;
    for (const char *t : {"x/a/b", "x", "x/a", "x/b"}) s.publish(t, "v", 0, true);
    SimClient *a = s.connect({.id = "a"});
    a->subscribe("x/#", 0);
    CHECK(a->seen() == "suback 1 00, x=v retain, x/a=v retain, x/a/b=v retain, x/b=v retain");
}

TEST_CASE("live messages of QoS 1 do not starve a replay, nor a replay them") {
    Archive s(1, 200);
    SimClient *a = s.connect(s.durable(5));
    a->subscribe("#", 1);
    a->acks = true;
    Collection got;
    int live = 0;
    for (int i = 0; i < 300 && got.topics.size() < 200; i++) {
        s.publish("live", "x", 1);
        for (const Got &g : a->take()) {
            if (g.topic == "live") live++;
            else got.add({g});
        }
    }
    CHECK(got.fault == "");
    CHECK(got.topics.size() == 200);
    CHECK(live > 0);
}

TEST_CASE("many sessions replay side by side, each in turn") {
    Archive s(1, 3000);
    std::vector<SimClient *> all;
    for (int i = 0; i < 10; i++) {
        SimClient *c = s.connect({.id = "c" + std::to_string(i)});
        c->acks = true;
        all.push_back(c);
    }
    for (SimClient *c : all) c->subscribe("r/#", 1);
    for (SimClient *c : all) {
        Collection got;
        got.add(c->take());
        CHECK(got.fault == "");
        CHECK(got.topics.size() == 3000);
    }
}

TEST_CASE("a value that came while its client was away is sent once: queued, or by the replay") {
    for (uint8_t qos = 0; qos <= 2; qos++) {
        CAPTURE(qos);
        Archive s(qos, 5);
        SimClient *a = s.connect(s.durable(1));
        s.world.stop_reading(a->peer);
        a->subscribe("r/#", qos);
        if (qos == 0) // so that the replay is not over
            for (int i = 0; i < 50; i++) s.publish("r/0", std::string(2000, 'x'));
        a->cut();
        s.publish("r/3", "new", qos, true);
        s.publish("r/6", "new", qos, true);
        a = s.connect(s.durable(1));
        a->acks = true;
        int three = 0, six = 0;
        for (const Got &g : a->take()) {
            three += g.topic == "r/3" && g.payload == "new";
            six += g.topic == "r/6";
        }
        if (qos) {
            CHECK(three == 1);
            CHECK(six == 1);
        } else {
            CHECK(three <= 1); // its replay may have been over
            CHECK(six <= 1);
        }
    }
}

TEST_CASE("UNSUBSCRIBE ends a replay for good, even if the filter is soon back [MQTT-3.10.4-2, 3.8.4-8]") {
    Archive s(1, 100);
    SimClient *a = s.connect(s.durable(2));
    a->subscribe("r/#", 1, prop_varint(0x0b, 7));
    a->unsubscribe("r/#");
    CHECK(a->take().size() == 2 + 2); // the window; SUBACK, UNSUBACK
    a->subscribe("r/#", 0, prop_varint(0x0b, 9));
    a->ack(PUBACK, 1);
    a->ack(PUBACK, 2);
    a->acks = true;
    int old_ones = 0, new_ones = 0;
    for (const Got &g : a->take()) {
        if (g.type != PUBLISH) continue;
        REQUIRE(g.sub_ids.size() == 1);
        (g.sub_ids[0] == 7 ? old_ones : new_ones)++;
    }
    CHECK(old_ones == 0); // they would come with a QoS that is not granted any more
    CHECK(new_ones == 100);
}
