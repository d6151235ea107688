// Clients that do not read, or ask for more than they read.
#include <doctest/doctest.h>

#include "base/mem.h"
#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

constexpr uint32_t OUTBOX = 100'000;
static const std::string KILO(1000, 'x');

static void small_outbox(Scene *s) {
    for (Listener *l : {s->plain, s->web}) World::policy_of(l)->max_outbox_bytes = OUTBOX;
}

TEST_CASE("QoS 0 beyond max_outbox_bytes is dropped and counted; others feel nothing") {
    Scene s(small_outbox);
    SimClient *slow = s.connect({.id = "slow"}), *fast = s.connect({.id = "fast"});
    slow->subscribe("t", 0);
    fast->subscribe("t", 0);
    slow->take();
    fast->take();
    s.world.stop_reading(slow->peer);
    size_t before = mem_used();
    int fast_got = 0;
    for (int i = 0; i < 500; i++) {
        s.publish("t", KILO);
        fast_got += static_cast<int>(fast->take().size());
        REQUIRE(slow->peer->conn);
        REQUIRE(slow->peer->conn->backlog <= OUTBOX + 1100);
    }
    CHECK(fast_got == 500);
    CHECK(mem_used() < before + OUTBOX + 50'000);
    CHECK(s.log.has("Outgoing messages are being dropped for client slow."));
    uint64_t dropped = s.broker()->stats.publish_dropped;
    CHECK(dropped > 380);
    s.world.resume_reading(slow->peer);
    s.world.settle();
    CHECK(slow->take().size() == 500 - dropped);
    CHECK(slow->fault == "");
    s.publish("t", "again");
    CHECK(slow->seen() == "t=again");
}

TEST_CASE("nothing is dropped while the kernel still takes it, however large the burst") {
    Scene s(small_outbox);
    SimClient *a = s.connect({.id = "a"}), *p = s.connect({.id = "p"});
    a->subscribe("t", 0);
    a->take();
    std::string burst;
    for (int i = 0; i < 1000; i++) burst += publish_packet({.topic = "t", .payload = KILO}, 4);
    p->send(burst);
    CHECK(a->take().size() == 1000);
    CHECK(s.broker()->stats.publish_dropped == 0);
}

TEST_CASE("the limit by default is 1 MiB and one packet") {
    Scene s([](Scene *x) { x->options().max_packet_size = 50'000; });
    SimClient *slow = s.connect({.id = "slow"});
    slow->subscribe("t", 0);
    s.world.stop_reading(slow->peer);
    for (int i = 0; i < 300; i++) s.publish("t", std::string(5000, 'x'));
    CHECK(s.broker()->stats.publish_dropped > 0);
    CHECK(slow->peer->conn->backlog <= (1u << 20) + 50'000 + 6000);
    CHECK(slow->peer->conn->backlog > (1u << 20) - 6000);
}

TEST_CASE("payloads by reference count as well: a message held by the slowest costs once") {
    Scene s(small_outbox);
    std::vector<SimClient *> slow;
    for (int i = 0; i < 20; i++) {
        slow.push_back(s.connect({.id = "s" + std::to_string(i)}));
        slow.back()->subscribe("t", 0);
        slow.back()->take();
        s.world.stop_reading(slow.back()->peer);
    }
    size_t before = mem_used();
    for (int i = 0; i < 50; i++) s.publish("t", std::string(10'000, 'x'));
    CHECK(mem_used() < before + 2 * OUTBOX + 20 * 4000); // not 20 times as much
    for (SimClient *c : slow) c->cut();
    CHECK(s.broker()->messages.count == 0);
}

TEST_CASE("QoS 1 and 2 to one that does not read wait in the window and the queue, not the outbox") {
    Scene s([](Scene *x) {
        small_outbox(x);
        x->options().max_inflight_messages = 0;
    });
    SimClient *slow = s.connect({.id = "slow"});
    slow->subscribe("t", 1);
    slow->take();
    s.world.stop_reading(slow->peer);
    for (int i = 0; i < 300; i++) s.publish("t", KILO, 1);
    CHECK(slow->peer->conn->backlog <= OUTBOX);
    CHECK(session_find(s.broker(), "slow")->traffic->queue.size > 200);
    slow->acks = true;
    s.world.resume_reading(slow->peer);
    s.world.settle();
    int got = 0;
    for (const Got &g : slow->take()) got += g.type == PUBLISH;
    CHECK(got == 300);
    CHECK(s.broker()->stats.publish_dropped == 0);
    CHECK(s.broker()->messages.count == 0);
}

TEST_CASE("a client that asks and never reads is disconnected at four times its limit") {
    for (bool web : {false, true}) {
        CAPTURE(web);
        Scene s(small_outbox);
        SimClient *other = s.connect({.id = "other"});
        SimClient *a = web ? s.connect_web({.id = "a"}) : s.connect({.id = "a"});
        s.world.stop_reading(a->peer);
        std::string pings;
        for (int i = 0; i < 10'000; i++) pings += sim_packet(0xc0, "");
        uint32_t most = 0;
        int rounds = 0;
        while (session_find(s.broker(), "a") && rounds++ < 60) {
            a->send(pings);
            if (a->peer->conn) most = std::max(most, a->peer->conn->backlog);
        }
        CHECK(rounds < 60);
        CHECK(most <= 4 * OUTBOX + 65'536);
        CHECK(s.log.has("outgoing buffer full"));
        CHECK(other->open());
        s.world.advance(60'000); // what was left to flush is not waited for for ever
        CHECK(s.world.gone(a->peer));
    }
}

TEST_CASE("one that reads again in time keeps its connection, and every answer") {
    Scene s(small_outbox);
    SimClient *a = s.connect({.id = "a"});
    s.world.stop_reading(a->peer);
    std::string pings;
    for (int i = 0; i < 10'000; i++) pings += sim_packet(0xc0, "");
    for (int i = 0; i < 6; i++) a->send(pings); // more than its limit, less than four
    CHECK(a->open());
    s.world.resume_reading(a->peer);
    s.world.settle();
    CHECK(a->take().size() == 60'000);
    CHECK(a->open());
}

TEST_CASE("a client cannot be drowned by its own SUBSCRIBEs to many retained messages") {
    Scene s(small_outbox);
    for (int i = 0; i < 200; i++) s.publish("r/" + std::to_string(i), KILO, 0, true);
    SimClient *a = s.connect({.id = "a"});
    s.world.stop_reading(a->peer);
    size_t before = mem_used();
    for (int i = 0; i < 50; i++) a->subscribe("r/#", 0);
    CHECK(a->open());
    CHECK(mem_used() < before + OUTBOX + 50'000);
}

TEST_CASE("a reader of single bytes gets whole frames all the same") {
    for (bool web : {false, true}) {
        Scene s;
        SimClient *a = web ? s.connect_web({.id = "a"}) : s.connect({.id = "a"});
        a->subscribe("t", 0);
        s.world.stop_reading(a->peer);
        s.publish("t", std::string(5000, 'x'));
        s.publish("t", "end");
        std::string all;
        for (int i = 0; i < 6000; i++) {
            s.world.stop_reading(a->peer, 1);
            s.world.settle();
            std::string part = a->seen();
            if (!part.empty()) all += (all.empty() ? "" : ", ") + part;
        }
        CHECK(all == "suback 1 00, t=5000 bytes, t=end");
    }
}

TEST_CASE("what comes while a backlog drains does not overtake what is queued [MQTT-4.6.0-5]") {
    Scene s([](Scene *x) { x->options().max_inflight_messages = 0; });
    SimClient *slow = s.connect({.id = "slow"});
    slow->subscribe("t", 1);
    slow->take();
    s.world.stop_reading(slow->peer);
    for (int i = 0; i < 100; i++) s.publish("t", KILO, 1);
    REQUIRE(session_find(s.broker(), "slow")->traffic->queue.size > 0);
    s.world.stop_reading(slow->peer, 20'000); // reads some: too little for on_drained
    s.world.settle();
    uint32_t backlog = slow->peer->conn->backlog;
    REQUIRE(backlog > DRAINED_LOW);
    REQUIRE(backlog < OUTBOX_WRITE_AT);
    s.publish("t", "last", 1);
    slow->acks = true;
    s.world.resume_reading(slow->peer);
    s.world.settle();
    std::string last;
    for (const Got &g : slow->take())
        if (g.type == PUBLISH) last = g.payload;
    CHECK(last == "last");
}
