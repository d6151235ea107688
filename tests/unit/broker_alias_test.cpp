// Topic aliases, both ways.
#include <doctest/doctest.h>

#include "broker/state.h"
#include "sim/sim_client.h"

using namespace sim;

static std::string alias(size_t n) { return prop_u16(0x23, n); }
static std::string alias_maximum(size_t n) { return prop_u16(0x22, n); }

// What the PUBLISH looked like on the wire: "topic/alias=payload".
static std::string on_wire(SimClient *c) {
    std::string out;
    for (const Got &g : c->take()) {
        if (g.type != PUBLISH) continue;
        out += (out.empty() ? "" : " ") + (g.by_alias ? "" : g.topic) + "/" +
               std::to_string(g.alias) + "=" + g.payload;
    }
    return out;
}

TEST_CASE("an alias from the client stands for its topic, and may change it [MQTT-3.3.2-12, N5-34]") {
    Scene s;
    SimClient *w = s.connect({.id = "w"}), *p = s.connect({.id = "p", .version = 5});
    CHECK(p->welcome.alias_maximum == 10);
    w->subscribe("#", 0);
    w->take();
    p->publish({.topic = "a/b", .payload = "1", .props = alias(10)});
    p->publish({.payload = "2", .props = alias(10)});
    p->publish({.topic = "c", .payload = "3", .props = alias(10)});
    p->publish({.payload = "4", .props = alias(10)});
    p->publish({.topic = "a/b", .payload = "5", .props = alias(1)});
    p->publish({.payload = "6", .props = alias(1)});
    CHECK(w->seen() == "a/b=1, a/b=2, c=3, c=4, a/b=5, a/b=6");
}

TEST_CASE("aliases that are 0, too large or unknown end the connection [MQTT-3.3.2-8, -9, N5-35]") {
    Scene s([](Scene *x) { x->policy().max_topic_alias = 3; });
    auto answer = [&s](const Note &n) {
        SimClient *p = s.connect({.id = "p", .version = 5});
        p->publish(n);
        return p->seen();
    };
    CHECK(answer({.topic = "t", .props = alias(0)}) == "bye 0x94, closed");
    CHECK(answer({.topic = "t", .props = alias(4)}) == "bye 0x94, closed");
    CHECK(answer({.topic = "t", .props = alias(3)}) == "");
    CHECK(answer({.props = alias(2)}) == "bye 0x82, closed"); // gone with its connection
    CHECK(answer({}) == "bye 0x82, closed");
}

TEST_CASE("max_topic_alias 0 allows none and announces none") {
    Scene s([](Scene *x) { x->policy().max_topic_alias = 0; });
    SimClient *p = s.connect({.id = "p", .version = 5});
    CHECK(p->welcome.alias_maximum == 0);
    p->publish({.topic = "t", .props = alias(1)});
    CHECK(p->seen() == "bye 0x94, closed");
}

TEST_CASE("an alias is learned even from a message that is refused [N5-36]") {
    Scene s([](Scene *x) { x->options().message_size_limit = 5; });
    SimClient *w = s.connect({.id = "w"}), *p = s.connect({.id = "p", .version = 5});
    w->subscribe("#", 0);
    w->take();
    p->publish({.topic = "t", .payload = "too long", .qos = 1, .id = 1, .props = alias(1)});
    p->publish({.payload = "ok", .qos = 1, .id = 2, .props = alias(1)});
    CHECK(p->take().size() == 2);
    CHECK(w->seen() == "t=ok");
}

TEST_CASE("what is retained, queued or a will has the full topic, never the alias [N5-37]") {
    Scene s;
    SimClient *d = s.connect({.id = "d", .version = 5, .clean = false, .props = session_expiry(100)});
    d->subscribe("t", 1);
    d->disconnect();
    SimClient *p = s.connect({.id = "p", .version = 5});
    p->publish({.topic = "t", .payload = "1", .qos = 1, .id = 1, .props = alias(1)});
    p->publish({.payload = "2", .qos = 1, .id = 2, .retain = true, .props = alias(1)});
    p->disconnect();
    d = s.connect({.id = "d", .version = 5, .clean = false});
    CHECK(d->seen() == "t=1 q1 #1, t=2 q1 #2");
    SimClient *late = s.connect({.id = "late", .version = 5});
    late->subscribe("#", 0);
    CHECK(late->seen() == "suback 1 00, t=2 retain");
}

TEST_CASE("the broker gives its first topics aliases, as many as both sides allow [MQTT-3.1.2-26, -27]") {
    Scene s([](Scene *x) { x->policy().max_topic_alias_broker = 2; });
    SimClient *none = s.connect({.id = "none", .version = 5});
    SimClient *one = s.connect({.id = "one", .version = 5, .props = alias_maximum(1)});
    SimClient *many = s.connect({.id = "many", .version = 5, .props = alias_maximum(100)});
    SimClient *old = s.connect({.id = "old", .version = 4});
    for (SimClient *c : {none, one, many, old}) c->subscribe("#", 0);
    for (SimClient *c : {none, one, many, old}) c->take();
    for (const char *t : {"a", "b", "c", "a", "b", "c"}) s.publish(t, t);
    CHECK(on_wire(none) == "a/0=a b/0=b c/0=c a/0=a b/0=b c/0=c");
    CHECK(on_wire(old) == "a/0=a b/0=b c/0=c a/0=a b/0=b c/0=c");
    CHECK(on_wire(one) == "a/1=a b/0=b c/0=c /1=a b/0=b c/0=c");
    CHECK(on_wire(many) == "a/1=a b/2=b c/0=c /1=a /2=b c/0=c");
}

TEST_CASE("a message that was not sent makes no alias [N5-38]") {
    Scene s;
    SimClient *a = s.connect({.id = "a", .version = 5, .props = alias_maximum(10) + prop_u32(0x27, 40)});
    a->subscribe("#", 0);
    a->take();
    s.publish("t", std::string(50, 'x'));
    s.publish("t", "fits");
    s.publish("t", "too");
    CHECK(on_wire(a) == "t/1=fits /1=too");
}

TEST_CASE("what an alias saves may make a message fit [MQTT-3.1.2-24]") {
    Scene s;
    std::string topic(30, 't');
    SimClient *a = s.connect({.id = "a", .version = 5, .props = alias_maximum(10) + prop_u32(0x27, 45)});
    a->subscribe("#", 0);
    a->take();
    s.publish(topic, "short");
    s.publish(topic, std::string(30, 'x'));
    CHECK(on_wire(a) == topic + "/1=short /1=" + std::string(30, 'x'));
}

TEST_CASE("a message resent on a new connection starts without the old aliases [MQTT-3.3.2-7, N5-37]") {
    Scene s;
    Hello hello = {.id = "a", .version = 5, .clean = false,
                   .props = session_expiry(100) + alias_maximum(10)};
    SimClient *a = s.connect(hello);
    a->subscribe("t", 1);
    a->take();
    s.publish("t", "1", 1);
    s.publish("t", "2", 1);
    CHECK(on_wire(a) == "t/1=1 /1=2");
    a->cut();
    a = s.connect(hello);
    CHECK(on_wire(a) == "t/1=1 /1=2");
    CHECK(a->fault == "");
}

TEST_CASE("a topic that is dropped at the outbox limit makes no alias [N5-38]") {
    Scene s([](Scene *x) { x->policy().max_outbox_bytes = 1000; });
    SimClient *a = s.connect({.id = "a", .version = 5, .props = alias_maximum(10)});
    a->subscribe("#", 0);
    a->take();
    s.world.stop_reading(a->peer);
    s.publish("a", std::string(2000, 'x'));
    s.publish("b", std::string(2000, 'x')); // dropped
    s.world.resume_reading(a->peer);
    s.world.settle();
    s.publish("b", "1");
    s.publish("b", "2");
    std::string all = on_wire(a);
    CHECK(all.ends_with(" b/2=1 /2=2"));
}
