// The send window, the queue, redelivery, limits, order.
#include "broker/deliver.h"

#include <doctest/doctest.h>

#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

// A subscriber "a" of "t" with the given Receive Maximum (5.0) or version.
struct Receiver : Scene {
    SimClient *a = nullptr;
    Hello hello;

    explicit Receiver(uint16_t window, unsigned qos = 2, void (*prepare)(Scene *) = nullptr)
        : Scene(prepare) {
        hello = {.id = "a", .version = 5, .clean = false,
                 .props = session_expiry(1000) + receive_maximum(window)};
        a = connect(hello);
        a->subscribe("t", qos);
        a->take();
    }
    void publish_many(int from, int to, uint8_t qos) {
        for (int i = from; i <= to; i++) publish("t", std::to_string(i), qos);
    }
    SimClient *back(uint16_t window) {
        hello.props = session_expiry(1000) + receive_maximum(window);
        return a = connect(hello);
    }
    Traffic *traffic() { return session_find(broker(), "a")->traffic; }
};

TEST_CASE("no more than Receive Maximum are under way [MQTT-3.3.4-9, 4.9.0-1, -2, N5-25]") {
    Receiver s(2);
    s.publish_many(1, 5, 1);
    CHECK(s.a->seen() == "t=1 q1 #1, t=2 q1 #2");
    s.a->ack(PUBACK, 1);
    CHECK(s.a->seen() == "t=3 q1 #3");
    s.a->ack(PUBACK, 2);
    s.a->ack(PUBACK, 3);
    CHECK(s.a->seen() == "t=4 q1 #4, t=5 q1 #5");
}

TEST_CASE("QoS 2 holds its place until PUBCOMP, or a PUBREC that refuses [N5-25, MQTT-4.3.3-4]") {
    Receiver s(1);
    s.publish_many(1, 4, 2);
    CHECK(s.a->seen() == "t=1 q2 #1");
    s.a->ack(PUBREC, 1);
    CHECK(s.a->seen() == "pubrel 1");
    s.a->ack(PUBCOMP, 1);
    CHECK(s.a->seen() == "t=2 q2 #2");
    s.a->ack(PUBREC, 2, 0x80); // [MQTT-4.4.0-2]
    CHECK(s.a->seen() == "t=3 q2 #3");
    s.a->ack(PUBREC, 3);
    s.a->ack(PUBCOMP, 3, 0x92); // any code counts
    CHECK(s.a->seen() == "pubrel 3, t=4 q2 #4");
}

TEST_CASE("QoS 0 and answers pass a closed window [MQTT-4.9.0-3, N5-26]") {
    Receiver s(1);
    s.publish_many(1, 2, 1);
    s.publish("t", "zero");
    s.a->send(sim_packet(0xc0, ""));
    s.a->publish({.topic = "x", .payload = "y", .qos = 2});
    CHECK(s.a->seen() == "t=1 q1 #1, t=zero, pong, pubrec 2");
    s.a->ack(PUBREL, 2);
    CHECK(s.a->seen() == "pubcomp 2");
}

TEST_CASE("max_inflight_messages bounds the window for every version") {
    for (int version : {3, 4, 5}) {
        CAPTURE(version);
        Scene s([](Scene *x) { x->options().max_inflight_messages = 3; });
        SimClient *a = s.connect({.id = "a", .version = version});
        a->subscribe("t", 1);
        for (int i = 0; i < 5; i++) s.publish("t", "m", 1);
        CHECK(a->seen() == "suback 1 01, t=m q1 #1, t=m q1 #2, t=m q1 #3");
    }
}

TEST_CASE("max_inflight_messages 0 leaves 65,535 ids, used in turn from 1 [MQTT-2.2.1-4]") {
    Scene s([](Scene *x) {
        x->options().max_inflight_messages = 0;
        x->options().max_queued_messages = 0;
    });
    SimClient *a = s.connect({.id = "a"});
    for (const char *f : {"t", "+", "#", "t/#", "+/#"}) a->subscribe(f, 1);
    a->take();
    SimClient *p = s.connect({.id = "p"});
    std::string burst;
    for (int i = 0; i < 65'540; i += 5) // five copies of each
        burst += publish_packet({.topic = "t", .qos = 1, .id = 1}, 4);
    p->send(burst);
    std::vector<Got> got = a->take();
    REQUIRE(got.size() == 65'535);
    for (size_t i = 0; i < got.size(); i++) REQUIRE(got[i].id == i + 1);
    // A later one first: its id is not free before those in front of it are.
    a->ack(PUBACK, 2);
    CHECK(a->seen() == "");
    a->ack(PUBACK, 1);
    CHECK(a->seen() == "t= q1 #1, t= q1 #2");
}

TEST_CASE("what is in flight comes again with DUP and its id, then the queue [MQTT-4.4.0-1, N5-74]") {
    Receiver s(3);
    s.publish_many(1, 6, 1);
    CHECK(s.a->seen() == "t=1 q1 #1, t=2 q1 #2, t=3 q1 #3");
    s.a->ack(PUBACK, 2);
    CHECK(s.a->seen() == "t=4 q1 #4"); // the quota counts, not the oldest
    s.a->cut();
    s.back(10);
    CHECK(s.a->seen() == "t=1 q1 #1 dup, t=3 q1 #3 dup, t=4 q1 #4 dup, t=5 q1 #5, t=6 q1 #6");
}

TEST_CASE("an unanswered PUBREL is repeated, its PUBLISH is not [MQTT-4.3.3-5, -6, 4.4.0-1, N5-74]") {
    Receiver s(10);
    s.publish_many(1, 3, 2);
    s.a->take();
    s.a->ack(PUBREC, 2);
    CHECK(s.a->seen() == "pubrel 2");
    s.a->cut();
    s.back(10);
    CHECK(s.a->seen() == "t=1 q2 #1 dup, pubrel 2, t=3 q2 #3 dup"); // in the order first sent
    s.a->ack(PUBCOMP, 2);
    s.a->ack(PUBREC, 1);
    s.a->ack(PUBREC, 3);
    s.a->ack(PUBCOMP, 1);
    s.a->ack(PUBCOMP, 3);
    CHECK(s.a->seen() == "pubrel 1, pubrel 3");
    CHECK(s.traffic() == nullptr); // at rest nothing is held
}

TEST_CASE("nothing is sent again while the connection lasts [MQTT-4.4.0-1, N5-75]") {
    Receiver s(10);
    s.publish_many(1, 2, 2);
    s.a->take();
    s.a->ack(PUBREC, 1);
    s.a->take();
    s.world.advance(3600'000);
    CHECK(s.a->seen() == "");
}

TEST_CASE("a smaller Receive Maximum on return holds back what was in flight [N5-25, MQTT-4.9.0-2]") {
    Receiver s(10);
    s.publish_many(1, 5, 2);
    s.a->take();
    s.a->ack(PUBREC, 3);
    s.a->take();
    s.a->cut();
    s.back(2);
    // The PUBREL holds one place: at most two are open in all.
    CHECK(s.a->seen() == "t=1 q2 #1 dup, pubrel 3");
    s.a->ack(PUBCOMP, 3);
    CHECK(s.a->seen() == "t=2 q2 #2 dup");
    s.a->ack(PUBREC, 1);
    s.a->ack(PUBCOMP, 1);
    CHECK(s.a->seen() == "pubrel 1, t=4 q2 #4 dup");
    s.publish("t", "6", 1);
    CHECK(s.a->seen() == ""); // new ones wait behind those
    s.a->ack(PUBREC, 2);
    s.a->ack(PUBCOMP, 2);
    s.a->ack(PUBREC, 4);
    s.a->ack(PUBCOMP, 4);
    CHECK(s.a->seen() == "pubrel 2, t=5 q2 #5 dup, pubrel 4, t=6 q1 #6");
}

TEST_CASE("more open PUBRELs than the new Receive Maximum are all repeated, and fill it") {
    Receiver s(10);
    s.publish_many(1, 4, 2);
    for (uint16_t id = 1; id <= 3; id++) s.a->ack(PUBREC, id);
    s.a->take();
    s.a->cut();
    s.back(2);
    CHECK(s.a->seen() == "pubrel 1, pubrel 2, pubrel 3");
    s.a->ack(PUBCOMP, 1);
    CHECK(s.a->seen() == ""); // two are open still
    s.a->ack(PUBCOMP, 2);
    CHECK(s.a->seen() == "t=4 q2 #4 dup");
}

TEST_CASE("an acknowledgement from before the cut ends its flow, held back or not") {
    Receiver s(10);
    s.publish_many(1, 3, 1);
    s.a->take();
    s.a->cut();
    s.back(1);
    CHECK(s.a->seen() == "t=1 q1 #1 dup");
    s.a->ack(PUBACK, 2); // it had this one before the cut
    CHECK(s.a->seen() == "");
    s.a->ack(PUBACK, 1);
    CHECK(s.a->seen() == "t=3 q1 #3 dup");
    s.a->ack(PUBACK, 3);
    CHECK(s.traffic() == nullptr);
}

TEST_CASE("the queue holds max_queued_messages beyond those in flight; the newest go [queue]") {
    Receiver s(2, 1, [](Scene *x) { x->options().max_queued_messages = 3; });
    s.publish_many(1, 10, 1);
    CHECK(s.traffic()->queue.size == 3);
    CHECK(s.broker()->stats.publish_dropped == 5);
    CHECK(s.log.has("Outgoing messages are being dropped for client a."));
    s.a->acks = true;
    CHECK(s.a->seen() == "t=1 q1 #1, t=2 q1 #2, t=3 q1 #3, t=4 q1 #4, t=5 q1 #5");
}

TEST_CASE("the log tells of dropping once, until the queue has been empty") {
    Receiver s(1, 1, [](Scene *x) { x->options().max_queued_messages = 1; });
    auto told = [&s] {
        size_t n = 0;
        for (size_t at = 0; (at = s.log.lines.find("being dropped", at)) != std::string::npos; at++) n++;
        return n;
    };
    s.publish_many(1, 5, 1);
    CHECK(told() == 1);
    s.a->acks = true;
    s.a->take();
    s.a->acks = false;
    s.publish_many(6, 9, 1);
    CHECK(told() == 2);
}

TEST_CASE("max_queued_bytes bounds the payloads that wait") {
    Receiver s(1, 1, [](Scene *x) { x->options().max_queued_bytes = 100; });
    std::string big(40, 'x');
    s.publish("t", "first", 1);
    for (int i = 0; i < 4; i++) s.publish("t", big, 1);
    CHECK(s.traffic()->queue.size == 2);
    CHECK(s.traffic()->queued_bytes == 80);
    s.publish("t", "small", 1); // there is room for this one
    CHECK(s.traffic()->queue.size == 3);
    CHECK(s.broker()->stats.publish_dropped == 2);
    s.a->acks = true;
    s.a->take();
    CHECK(s.traffic() == nullptr);
}

TEST_CASE("max_inflight_bytes closes the window, but one message may always go") {
    Receiver s(10, 2, [](Scene *x) { x->options().max_inflight_bytes = 100; });
    std::string big(150, 'x'), half(60, 'y');
    s.publish("t", big, 1);
    s.publish("t", half, 1);
    s.publish("t", half, 1);
    s.publish("t", half, 1);
    CHECK(s.a->seen() == "t=150 bytes q1 #1");
    s.a->ack(PUBACK, 1);
    CHECK(s.a->seen() == "t=60 bytes q1 #2, t=60 bytes q1 #3");
    s.a->ack(PUBACK, 2);
    CHECK(s.a->seen() == "t=60 bytes q1 #4");
}

TEST_CASE("absent clients queue QoS 1 and 2; QoS 0 only with queue_qos0_messages") {
    for (bool queues : {false, true}) {
        CAPTURE(queues);
        Receiver s(1);
        s.options().queue_qos0_messages = queues;
        s.a->cut();
        s.publish("t", "zero", 0);
        s.publish("t", "one", 1);
        s.publish("t", "nought", 0);
        s.back(1);
        CHECK(s.a->seen() == (queues ? "t=zero, t=one q1 #1" : "t=one q1 #1"));
        s.a->ack(PUBACK, 1); // what waits keeps its place [N5-26]
        CHECK(s.a->seen() == (queues ? "t=nought" : ""));
    }
}

TEST_CASE("what expires while it waits is not sent, and is counted [MQTT-3.3.2-5, N5-39, N5-42]") {
    for (int version : {4, 5}) {
        CAPTURE(version);
        Scene s;
        SimClient *a = s.connect({.id = "a", .version = version, .clean = false,
                                  .props = session_expiry(1000)});
        a->subscribe("t", 1);
        a->disconnect();
        s.publish("t", "short", 1, false, message_expiry(5));
        s.publish("t", "long", 1, false, message_expiry(50));
        s.publish("t", "ever", 1);
        s.world.advance(6'500);
        a = s.connect({.id = "a", .version = version, .clean = false, .props = session_expiry(1000)});
        // The seconds that are left, begun ones counted whole [MQTT-3.3.2-6].
        if (version == 5) CHECK(a->seen() == "t=long q1 #1 44s, t=ever q1 #2");
        else CHECK(a->seen() == "t=long q1 #1, t=ever q1 #2");
        CHECK(s.broker()->stats.expired_messages == 1);
        CHECK(s.broker()->stats.publish_dropped == 0);
    }
}

TEST_CASE("an expired one in the queue does not hold up the next [N5-39]") {
    Receiver s(1);
    s.publish("t", "1", 1);
    s.publish("t", "2", 1, false, message_expiry(1));
    s.publish("t", "3", 1);
    CHECK(s.a->seen() == "t=1 q1 #1");
    s.world.advance(2'000);
    s.a->ack(PUBACK, 1);
    CHECK(s.a->seen() == "t=3 q1 #2");
}

TEST_CASE("what was sent once does not expire any more with QoS 2 [MQTT-4.3.3-7, N5-40]") {
    Receiver s(10);
    s.publish("t", "two", 2, false, message_expiry(1));
    CHECK(s.a->seen() == "t=two q2 #1 1s");
    s.world.advance(5'000);
    s.a->cut();
    s.back(10);
    CHECK(s.a->seen() == "t=two q2 #1 dup 0s");
}

TEST_CASE("order per topic and QoS is kept through window, queue and reconnect [MQTT-4.6.0-5, -6]") {
    Receiver s(3);
    s.publish_many(1, 5, 1);
    s.a->take();
    s.a->cut();
    s.publish_many(6, 8, 1);
    s.back(2);
    s.publish_many(9, 10, 1);
    s.a->acks = true;
    CHECK(s.a->seen() == "t=1 q1 #1 dup, t=2 q1 #2 dup, t=3 q1 #3 dup, t=4 q1 #4, t=5 q1 #5, "
                         "t=6 q1 #6, t=7 q1 #7, t=8 q1 #8, t=9 q1 #9, t=10 q1 #10");
}

TEST_CASE("packet ids wrap from 65,535 to 1, and count on over reconnects [MQTT-2.2.1-4]") {
    Receiver s(10);
    session_find(s.broker(), "a")->next_id = 65'534;
    s.publish_many(1, 4, 1);
    CHECK(s.a->seen() == "t=1 q1 #65534, t=2 q1 #65535, t=3 q1 #1, t=4 q1 #2");
    s.a->ack(PUBACK, 1);
    s.a->ack(PUBACK, 65'534);
    s.a->cut();
    s.back(10);
    CHECK(s.a->seen() == "t=2 q1 #65535 dup, t=4 q1 #2 dup");
    s.a->ack(PUBACK, 65'535);
    s.a->ack(PUBACK, 2);
    CHECK(s.traffic() == nullptr);
    s.publish("t", "5", 1);
    CHECK(s.a->seen() == "t=5 q1 #3");
}

TEST_CASE("acknowledgements of nothing are tolerated, of the wrong kind are not [N5-73]") {
    Receiver s(10);
    s.a->ack(PUBACK, 9);
    s.a->ack(PUBCOMP, 9);
    s.a->ack(PUBREC, 9, 0x80);
    CHECK(s.a->seen() == "");
    s.a->ack(PUBREC, 9);
    s.a->ack(PUBREL, 9);
    CHECK(s.a->seen() == "pubrel 9, pubcomp 9");
    s.publish("t", "one", 1);
    s.a->ack(PUBREC, 1);
    CHECK(s.a->seen() == "t=one q1 #1, bye 0x82, closed");
}

TEST_CASE("a message too large for the client counts as delivered [MQTT-3.1.2-24, -25, N5-30]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false,
                   .props = session_expiry(100) + receive_maximum(1) + prop_u32(0x27, 50)};
    SimClient *a = s.connect(hello);
    a->subscribe("t", 2);
    a->take();
    s.publish("t", std::string(60, 'x'), 1);
    s.publish("t", std::string(60, 'x'), 0);
    s.publish("t", "small", 2);
    CHECK(a->seen() == "t=small q2 #1");
    CHECK(s.broker()->messages.count == 1);
}

TEST_CASE("in flight and too large after the return: dropped, the next may go [N5-33]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false,
                   .props = session_expiry(100) + receive_maximum(1)};
    SimClient *a = s.connect(hello);
    a->subscribe("t", 1);
    s.publish("t", std::string(60, 'x'), 1);
    s.publish("t", "small", 1);
    a->cut();
    hello.props += prop_u32(0x27, 50);
    a = s.connect(hello);
    CHECK(a->seen() == "t=small q1 #2");
}

TEST_CASE("a QoS 2 PUBLISH is passed on once, across a reconnect [MQTT-4.3.3-10 to -12, N5-72]") {
    Scene s;
    SimClient *w = s.connect({.id = "w"});
    w->subscribe("t", 2);
    w->take();
    Hello hello = {.id = "p", .clean = false};
    SimClient *p = s.connect(hello);
    p->publish({.topic = "t", .payload = "x", .qos = 2, .id = 7});
    p->publish({.topic = "t", .payload = "x", .qos = 2, .id = 7, .dup = true});
    p->cut();
    p = s.connect(hello);
    p->publish({.topic = "t", .payload = "x", .qos = 2, .id = 7, .dup = true});
    p->ack(PUBREL, 7);
    p->ack(PUBREL, 7);
    CHECK(p->seen() == "pubrec 7, pubcomp 7, pubcomp 7");
    CHECK(w->seen() == "t=x q2 #1");
    p->publish({.topic = "t", .payload = "new", .qos = 2, .id = 7});
    CHECK(w->seen() == "t=new q2 #2");
}

TEST_CASE("more open QoS 2 messages than the announced Receive Maximum close it [MQTT-3.3.4-7, N5-27]") {
    Scene s([](Scene *x) { x->options().max_inflight_messages = 3; });
    SimClient *p = s.connect({.id = "p", .version = 5});
    CHECK(p->welcome.receive_maximum == 3);
    for (uint16_t id = 1; id <= 3; id++) p->publish({.topic = "t", .qos = 2, .id = id});
    p->publish({.topic = "t", .qos = 2, .id = 2, .dup = true}); // not one more
    CHECK(p->seen() == "pubrec 1, pubrec 2, pubrec 3, pubrec 2");
    p->publish({.topic = "t", .qos = 2, .id = 4});
    CHECK(p->seen() == "bye 0x93, closed");
}

TEST_CASE("a 3.x client was told no Receive Maximum and cannot break it [N5-27]") {
    Scene s([](Scene *x) { x->options().max_inflight_messages = 3; });
    SimClient *p = s.connect({.id = "p", .version = 4});
    for (uint16_t id = 1; id <= 5; id++) p->publish({.topic = "t", .qos = 2, .id = id});
    CHECK(p->seen() == "pubrec 1, pubrec 2, pubrec 3, pubrec 4, pubrec 5");
}
