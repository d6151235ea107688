// What is gone is gone: memory is back where it was.
#include <doctest/doctest.h>

#include "base/mem.h"
#include "broker/session.h"
#include "sim/sim_client.h"

using namespace sim;

// What may stay of a burst that is over: pooled chunks, kept frames, slack.
constexpr size_t LEFT_OVER = 48 * 1024;

TEST_CASE("a broker that was used for everything ends without a byte left") {
    size_t before = mem_used();
    {
        Scene s;
        for (int i = 0; i < 30; i++) {
            Hello h = {.id = "c" + std::to_string(i), .version = 3 + i % 3, .clean = i % 2 == 0,
                       .props = session_expiry(i % 2 ? 100 : 0) + prop_u16(0x22, 5),
                       .will_topic = "will", .will_props = will_delay(static_cast<size_t>(i % 4)),
                       .user = "u"};
            SimClient *c = i % 4 ? s.connect(h) : s.connect_web(h);
            c->subscribe("a/" + std::to_string(i), 2);
            c->subscribe("a/+", 1);
            c->subscribe("#", 0);
            c->subscribe("$share/g/#", 2);
            if (i % 5 == 0) s.world.stop_reading(c->peer);
            if (i % 7 == 0) c->cut();
        }
        for (int i = 0; i < 30; i++) {
            uint8_t qos = static_cast<uint8_t>(i % 3);
            std::string size(static_cast<size_t>(i % 4 * 3000), 'x');
            s.publish("a/" + std::to_string(i), size, qos, i % 2, message_expiry(50));
        }
        s.clients[1]->post(std::string_view("\x30\x7f\x00", 3)); // unfinished
        s.world.connect(s.plain);
        s.world.connect(s.web);
        s.world.settle();
    } // everything is still there when it ends
    CHECK(mem_used() == before);
}

TEST_CASE("when the last client has left and nothing is kept, a running broker is as small as before") {
    Scene s;
    s.publish("warm", "up", 1);
    s.world.settle();
    size_t before = mem_used();
    std::vector<SimClient *> all;
    for (int i = 0; i < 500; i++) {
        SimClient *c = s.connect({.id = "client-number-" + std::to_string(i), .version = 5,
                                  .props = receive_maximum(2)});
        c->subscribe("t/" + std::to_string(i), 1);
        c->subscribe("t/#", 2);
        all.push_back(c);
    }
    CHECK(mem_used() > before + 500 * 300);
    for (int i = 0; i < 20; i++) s.publish("t/" + std::to_string(i), std::string(500, 'x'), 2, true);
    for (int i = 0; i < 20; i++) s.publish("t/" + std::to_string(i), "", 0, true);
    for (SimClient *c : all) c->cut();
    s.world.advance(60'000);
    CHECK(s.broker()->messages.count == 0);
    CHECK(s.broker()->messages.bytes == 0);
    CHECK(s.broker()->sessions.size() == 1);
    CHECK(router_stats(s.broker()->router).filters == 0);
    CHECK(mem_used() < before + LEFT_OVER);
}

TEST_CASE("sessions that expire take everything along") {
    Scene s;
    s.publish("warm", "up", 1);
    size_t before = mem_used();
    for (int i = 0; i < 200; i++) {
        SimClient *c = s.connect({.id = "d" + std::to_string(i), .version = 5, .clean = false,
                                  .props = session_expiry(60), .will_topic = "t",
                                  .will_props = will_delay(1000)});
        c->subscribe("t", 2);
        c->subscribe("r/#", 1);
        c->cut();
    }
    for (int i = 0; i < 50; i++) s.publish("t", std::string(1000, 'x'), 2);
    CHECK(mem_used() > before + 50'000);
    s.world.advance(61'000);
    CHECK(s.broker()->sessions.size() == 1);
    CHECK(s.broker()->messages.count == 0);
    CHECK(mem_used() < before + LEFT_OVER);
}

TEST_CASE("a message is held once, however many will get it") {
    Scene s;
    for (int i = 0; i < 50; i++) {
        s.connect({.id = "d" + std::to_string(i), .clean = false})->subscribe("t", 1);
        s.clients.back()->cut();
    }
    s.publish("t", "warm", 1);
    size_t before = mem_used();
    s.publish("t", std::string(20'000, 'x'), 1);
    CHECK(mem_used() < before + 20'000 + 8000);
    CHECK(s.broker()->messages.count == 2);
}

TEST_CASE("a client at rest holds no queue, no outbox, no extra") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5});
    a->acks = true;
    a->subscribe("t", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) s.publish("t", "x", qos);
    a->take();
    a->publish({.topic = "y", .qos = 2, .id = 9});
    a->take();
    Session *session = session_find(s.broker(), "a");
    CHECK(session->traffic == nullptr);
    CHECK(session->client->extra == nullptr);
    CHECK(a->peer->conn->out == nullptr);
}

TEST_CASE("unfinished packets before CONNECT are bounded all together") {
    Scene s;
    size_t before = mem_used();
    std::vector<Peer *> all;
    std::string start = sim_packet(0x10, std::string(1'900'000, 'x')).substr(0, 1'000'000);
    for (int i = 0; i < 40; i++) {
        Peer *p = s.world.connect(s.plain);
        REQUIRE(p);
        s.world.send(p, start);
        s.world.settle();
        all.push_back(p);
    }
    CHECK(mem_used() < before + 18'000'000);
    s.world.advance(15'000); // no CONNECT in time
    for (Peer *p : all) CHECK(s.world.gone(p));
    CHECK(mem_used() < before + LEFT_OVER);
    CHECK(s.broker()->unauthenticated_bytes == 0);
}

TEST_CASE("a packet that claims to be large costs what has come of it, no more") {
    Scene s([](Scene *x) { x->options().max_packet_size = 200'000'000; });
    SimClient *a = s.connect({.id = "a"});
    size_t before = mem_used();
    a->send(std::string_view("\x30\x80\x80\x80\x30\x00\x01t", 8)); // 100 MB
    CHECK(mem_used() < before + 2000);
    a->send(std::string(30'000, 'x'));
    CHECK(mem_used() < before + 100'000);
    a->cut();
    CHECK(s.broker()->messages.count == 0);
}
