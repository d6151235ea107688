// Shared subscriptions: whose turn it is, and what moves on to whom.
#include <doctest/doctest.h>

#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

static const char FILTER[] = "$share/g/t";

// Members "a", "b", "c" of one group on "t".
struct Circle : Scene {
    SimClient *a, *b, *c;

    explicit Circle(unsigned qos = 1, uint16_t window = 20) {
        a = join("a", qos, window);
        b = join("b", qos, window);
        c = join("c", qos, window);
    }
    static Hello hello(const char *id, uint16_t window, bool durable = true) {
        return {.id = id, .version = 5, .clean = !durable,
                .props = (durable ? session_expiry(1000) : std::string()) + receive_maximum(window)};
    }
    SimClient *join(const char *id, unsigned qos, uint16_t window = 20, bool durable = true) {
        SimClient *m = connect(hello(id, window, durable));
        m->subscribe(FILTER, qos);
        m->take();
        return m;
    }
    SimClient *back(const char *id, uint16_t window = 20) { return connect(hello(id, window)); }
    void publish_many(int from, int to, uint8_t qos) {
        for (int i = from; i <= to; i++) publish("t", std::to_string(i), qos);
    }
    size_t under_way() { return broker()->messages.count; }
};

TEST_CASE("members get messages strictly in turn, in order of subscribing [N5-60]") {
    for (uint8_t qos = 0; qos <= 2; qos++) {
        CAPTURE(qos);
        Circle s(2);
        s.publish_many(1, 7, qos);
        std::string q = qos ? " q" + std::to_string(qos) + " #" : "";
        auto n = [&](const char *id) { return qos ? q + id : std::string(); };
        CHECK(s.a->seen() == "t=1" + n("1") + ", t=4" + n("2") + ", t=7" + n("3"));
        CHECK(s.b->seen() == "t=2" + n("1") + ", t=5" + n("2"));
        CHECK(s.c->seen() == "t=3" + n("1") + ", t=6" + n("2"));
    }
}

TEST_CASE("the chosen member's granted QoS counts [MQTT-4.8.2-3]") {
    Scene s;
    SimClient *a = s.connect({.id = "a"}), *b = s.connect({.id = "b"});
    a->subscribe(FILTER, 0);
    b->subscribe(FILTER, 2);
    s.publish("t", "1", 2);
    s.publish("t", "2", 2);
    CHECK(a->seen() == "suback 1 00, t=1");
    CHECK(b->seen() == "suback 1 02, t=2 q2 #1");
}

TEST_CASE("3.x clients may share too") {
    for (int version : {3, 4}) {
        Scene s;
        SimClient *a = s.connect({.id = "a", .version = version});
        SimClient *b = s.connect({.id = "b", .version = version});
        a->subscribe(FILTER, 1);
        b->subscribe(FILTER, 1);
        s.publish("t", "1", 1);
        s.publish("t", "2", 1);
        CHECK(a->seen() == "suback 1 01, t=1 q1 #1");
        CHECK(b->seen() == "suback 1 01, t=2 q1 #1");
    }
}

TEST_CASE("groups of other names and plain subscriptions each get their copy [N5-59, N5-60]") {
    Scene s;
    SimClient *a = s.connect({.id = "a"});
    a->subscribe("$share/g/t", 0);
    a->subscribe("$share/h/t", 0);
    a->subscribe("$share/g/+", 0);
    a->subscribe("t", 0);
    a->take();
    s.publish("t", "x");
    CHECK(a->seen() == "t=x, t=x, t=x, t=x");
    a->unsubscribe("t"); // does not touch the shared one
    a->take();
    s.publish("t", "y");
    CHECK(a->seen() == "t=y, t=y, t=y");
}

TEST_CASE("subscribing again changes the options and stays one member [N5-61]") {
    Circle s(1);
    s.publish("t", "1", 1);
    s.a->take();
    s.a->subscribe(FILTER, 0, prop_varint(0x0b, 9));
    s.publish_many(2, 4, 1);
    CHECK(s.a->seen() == "suback 2 00, t=4 id9");
    CHECK(s.b->seen() == "t=2 q1 #1");
    CHECK(s.c->seen() == "t=3 q1 #1");
    CHECK(router_stats(s.broker()->router).shared == 3);
}

TEST_CASE("absent members and closed windows are passed over while another can take it") {
    Circle s(1, 1);
    s.a->cut();
    s.publish_many(1, 2, 1);
    CHECK(s.b->seen() == "t=1 q1 #1");
    CHECK(s.c->seen() == "t=2 q1 #1");
    s.b->ack(PUBACK, 1);
    s.publish_many(3, 3, 1); // c is full
    CHECK(s.b->seen() == "t=3 q1 #2");
    // Nobody is open: to the queue of whoever's turn it is, absent or not.
    s.publish_many(4, 6, 1);
    s.b->acks = s.c->acks = true;
    s.b->ack(PUBACK, 2);
    s.c->ack(PUBACK, 1);
    std::string all = s.b->seen() + " | " + s.c->seen() + " | " + s.back("a")->seen();
    for (const char *m : {"t=4", "t=5", "t=6"}) {
        CAPTURE(all);
        size_t at = all.find(m);
        REQUIRE(at != std::string::npos); // exactly one got it
        CHECK(all.find(m, at + 1) == std::string::npos);
    }
}

TEST_CASE("QoS 0 is for those who are there; for nobody it is gone") {
    Circle s(0);
    s.a->cut();
    s.publish_many(1, 4, 0);
    CHECK(s.b->seen() == "t=1, t=3");
    CHECK(s.c->seen() == "t=2, t=4");
    s.b->cut();
    s.c->cut();
    s.publish("t", "lost");
    CHECK(s.back("a")->seen() == "");
    CHECK(s.back("b")->seen() == "");
}

TEST_CASE("the turn goes on over reconnects, and past a member that leaves") {
    Circle s(0);
    s.publish("t", "1");
    s.b->cut();
    s.b = s.back("b");
    s.publish("t", "2");
    CHECK(s.b->seen() == "t=2");
    s.a->unsubscribe(FILTER);
    s.publish_many(3, 5, 0);
    CHECK(s.c->seen() == "t=3, t=5");
    CHECK(s.b->seen() == "t=4");
}

TEST_CASE("one that unsubscribes hands on its queue and completes its flight [MQTT-3.10.4-3]") {
    Circle s(2, 1);
    s.publish_many(1, 6, 2); // 1 to 3 in flight, 4 to 6 queued, one each
    CHECK(s.a->seen() == "t=1 q2 #1");
    s.b->acks = s.c->acks = true;
    s.b->take();
    s.c->take();
    s.a->unsubscribe(FILTER);
    CHECK(s.a->seen() == "unsuback 2 00");
    CHECK(s.b->seen() + s.c->seen() == "t=4 q2 #3, pubrel 3"); // moved on
    s.a->ack(PUBREC, 1);
    s.a->ack(PUBCOMP, 1);
    CHECK(s.a->seen() == "pubrel 1");
    s.b->take();
    s.c->take();
    CHECK(s.under_way() == 0);
}

TEST_CASE("a session that ends gives QoS 1 in flight and all that waits to others [N5-62]") {
    for (bool by_expiry : {true, false}) {
        CAPTURE(by_expiry);
        Circle s(1, 1);
        s.publish_many(1, 6, 1);
        CHECK(s.a->seen() == "t=1 q1 #1");
        s.a->cut();
        if (by_expiry) {
            s.world.advance(1000'020);
        } else {
            s.connect({.id = "a", .version = 5, .clean = true});
        }
        s.b->acks = s.c->acks = true;
        std::string all;
        for (int i = 0; i < 3; i++) all += s.b->seen() + " " + s.c->seen() + " ";
        CAPTURE(all);
        for (const char *m : {"t=1 ", "t=2 ", "t=3 ", "t=4 ", "t=5 ", "t=6 "}) {
            CAPTURE(m);
            size_t at = all.find(m);
            REQUIRE(at != std::string::npos);
            CHECK(all.find(m, at + 1) == std::string::npos);
        }
        CHECK(s.under_way() == 0);
    }
}

TEST_CASE("QoS 2 in flight waits for its member, and dies with its session [MQTT-4.8.2-4, -5]") {
    Circle s(2, 1);
    s.publish("t", "1", 2);
    CHECK(s.a->seen() == "t=1 q2 #1");
    s.a->cut();
    s.world.advance(900'000);
    s.a = s.back("a");
    CHECK(s.a->seen() == "t=1 q2 #1 dup"); // completed where it was begun
    s.a->cut();
    s.world.advance(1000'020);
    s.b->acks = s.c->acks = true;
    CHECK(s.b->seen() == "");
    CHECK(s.c->seen() == "");
    CHECK(s.under_way() == 0);
}

TEST_CASE("a refusal by the chosen member ends the message for all [MQTT-4.8.2-6]") {
    Circle s(2);
    s.publish_many(1, 2, 1);
    s.publish_many(3, 3, 2);
    s.a->ack(PUBACK, 1, 0x97);
    s.c->ack(PUBREC, 1, 0x97);
    s.b->ack(PUBACK, 1);
    CHECK(s.under_way() == 0);
    CHECK(s.a->seen() == "t=1 q1 #1");
    CHECK(s.b->seen() == "t=2 q1 #1");
    CHECK(s.c->seen() == "t=3 q2 #1");
}

TEST_CASE("the last member takes the group and what waits in it along [N5-61]") {
    Scene s;
    SimClient *a = s.connect(Circle::hello("a", 1));
    a->subscribe(FILTER, 1);
    s.publish("t", "1", 1);
    s.publish("t", "2", 1);
    a->unsubscribe(FILTER);
    CHECK(a->seen() == "suback 1 01, t=1 q1 #1, unsuback 2 00");
    a->ack(PUBACK, 1);
    CHECK(a->seen() == "");
    CHECK(s.broker()->messages.count == 0);
    a->subscribe(FILTER, 1); // a new group has nothing of the old
    CHECK(a->seen() == "suback 3 01");
}

TEST_CASE("a shared subscription gets no retained messages, ever [N5-45]") {
    Scene s;
    s.publish("t", "kept", 1, true);
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe(FILTER, 1);
    CHECK(a->seen() == "suback 1 01");
    s.publish("t", "live", 1, true);
    CHECK(a->seen() == "t=live q1 #1");
}

TEST_CASE("No Local on a shared subscription is a Protocol Error [MQTT-3.8.3-4]") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->subscribe(FILTER, 0x05);
    CHECK(a->seen() == "bye 0x82, closed");
}

TEST_CASE("messages that move on keep their order") {
    Circle s(1, 1);
    s.b->unsubscribe(FILTER);
    s.c->unsubscribe(FILTER);
    s.c->take();
    s.publish_many(1, 5, 1); // 1 in flight to a, the others wait there
    s.c->subscribe(FILTER, 1);
    s.c->acks = true;
    s.a->unsubscribe(FILTER);
    CHECK(s.c->seen() == "suback 3 01, t=2 q1 #1, t=3 q1 #2, t=4 q1 #3, t=5 q1 #4");
}

TEST_CASE("subscription identifiers are the chosen member's, also after moving on [N5-60]") {
    Scene s;
    SimClient *a = s.connect(Circle::hello("a", 1)), *b = s.connect(Circle::hello("b", 1));
    a->subscribe(FILTER, 1, prop_varint(0x0b, 7));
    s.publish("t", "1", 1);
    s.publish("t", "2", 1);
    b->subscribe(FILTER, 1, prop_varint(0x0b, 8));
    CHECK(a->seen() == "suback 1 01, t=1 q1 #1 id7");
    a->unsubscribe(FILTER);
    CHECK(b->seen() == "suback 1 01, t=2 q1 #1 id8");
    a->cut(); // what is in flight at a keeps its identifier
    CHECK(s.connect(Circle::hello("a", 1))->seen() == "t=1 q1 #1 dup id7");
}

TEST_CASE("what has expired while it waited for one member does not move on [MQTT-3.3.2-5, N5-39]") {
    for (bool by_unsubscribe : {false, true}) {
        CAPTURE(by_unsubscribe);
        Scene s;
        SimClient *a = s.connect(Circle::hello("a", 1));
        a->subscribe(FILTER, 1);
        s.publish("t", "holds the window", 1);
        s.publish("t", "short", 1, false, message_expiry(5));
        SimClient *b = s.connect(Circle::hello("b", 10));
        b->subscribe(FILTER, 1);
        b->take();
        s.world.advance(10'000);
        if (by_unsubscribe) a->unsubscribe(FILTER);
        else s.connect({.id = "a", .version = 5, .clean = true});
        CHECK(b->seen().find("short") == std::string::npos);
    }
}
