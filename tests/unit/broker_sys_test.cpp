// $SYS: names, forms, times, and what is published when.
#include "broker/sys.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "broker/publish.h"
#include "broker/state.h"
#include "sim/world.h"

using namespace std::string_literals;

static const char *const NUMBERS[] = {
    "clients/total", "clients/maximum", "clients/connected", "clients/active",
    "clients/disconnected", "clients/inactive", "clients/expired", "messages/received",
    "messages/sent", "messages/stored", "store/messages/count", "store/messages/bytes",
    "subscriptions/count", "shared_subscriptions/count", "retained messages/count",
    "heap/current", "heap/maximum", "bytes/received", "bytes/sent", "publish/bytes/received",
    "publish/bytes/sent", "publish/messages/dropped", "publish/messages/received",
    "publish/messages/sent", "packet/out/count", "packet/out/bytes", "connections/socket/count",
};
static const char *const LOADS[] = {
    "messages/received", "messages/sent", "publish/received", "publish/sent", "publish/dropped",
    "bytes/received", "bytes/sent", "sockets", "connections",
};
static const char *const SPANS[] = {"1min", "5min", "15min"};

constexpr size_t TOPICS = 2 + std::size(NUMBERS) + std::size(LOADS) * std::size(SPANS);

// CONNECT of MQTT 3.1.1, clean session, no keep-alive, client id "a".
static const std::string CONNECT = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"s + "a";

static Message *message_of(const World &w, const std::string &name) {
    return retained_get(w.broker->retained, "$SYS/broker/" + name);
}

// The payload of the retained message; "(none)" if there is none.
static std::string value(const World &w, const std::string &name) {
    Message *m = message_of(w, name);
    return m ? std::string(message_payload(m)) : "(none)";
}

static double load(const World &w, const std::string &name, const std::string &span) {
    return std::stod(value(w, "load/" + name + "/" + span));
}

static bool is_number(const std::string &text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

TEST_CASE("$SYS has every name at start, retained with QoS 2") {
    World w;
    w.setup.program = "midge";
    w.setup.version = "1.2.3";
    w.start();
    CHECK(value(w, "version") == "midge version 1.2.3");
    CHECK(value(w, "uptime") == "0 seconds");
    for (const char *name : NUMBERS) {
        CAPTURE(name);
        CHECK(is_number(value(w, name)));
    }
    for (const char *name : LOADS)
        for (const char *span : SPANS) {
            CAPTURE(name);
            CHECK(value(w, "load/"s + name + "/" + span) == "0.00");
        }
    CHECK(retained_count(w.broker->retained) == TOPICS);
    REQUIRE(message_of(w, "version"));
    CHECK(+message_of(w, "version")->qos == 2);
    CHECK(+message_of(w, "version")->retain == 1);
    CHECK(w.broker->stats.publish_in == 0);
    CHECK(w.broker->stats.packets_in == 0);
}

TEST_CASE("a version that is too long for its buffer is cut") {
    World w;
    std::string version(500, 'v');
    w.setup.version = version.c_str();
    w.start();
    CHECK(value(w, "version").size() == 127);
}

TEST_CASE("$SYS is published at whole multiples of the clock") {
    World w; // begins at 1000.003 s
    w.options.sys_interval_s = 10;
    w.start();
    w.advance(9900); // 1009.903
    CHECK(value(w, "uptime") == "0 seconds");
    w.advance(200);
    CHECK(value(w, "uptime") == "9 seconds");
    w.advance(9700); // 1019.803
    CHECK(value(w, "uptime") == "9 seconds");
    w.advance(300);
    CHECK(value(w, "uptime") == "19 seconds");
}

TEST_CASE("$SYS publishes only what has changed") {
    World w;
    w.start();
    w.advance(20000);
    uint64_t total = message_of(w, "clients/total")->seq;
    uint64_t version = message_of(w, "version")->seq;
    uint64_t idle = message_of(w, "load/sockets/1min")->seq;
    uint64_t uptime = message_of(w, "uptime")->seq;
    w.advance(30000);
    CHECK(message_of(w, "clients/total")->seq == total);
    CHECK(message_of(w, "version")->seq == version);
    CHECK(message_of(w, "load/sockets/1min")->seq == idle);
    CHECK(message_of(w, "uptime")->seq > uptime);
    CHECK(value(w, "retained messages/count") == std::to_string(TOPICS));
    CHECK(value(w, "store/messages/count") == value(w, "messages/stored"));
    CHECK(value(w, "store/messages/bytes") != "0");
}

TEST_CASE("$SYS tells of clients, packets and bytes") {
    World w;
    Listener *l = w.listen(Protocol::Mqtt);
    w.start();
    Peer *p = w.connect(l);
    w.send(p, CONNECT);
    w.advance(10000);
    CHECK(value(w, "clients/total") == "1");
    CHECK(value(w, "clients/maximum") == "1");
    CHECK(value(w, "clients/connected") == "1");
    CHECK(value(w, "clients/active") == "1");
    CHECK(value(w, "clients/disconnected") == "0");
    CHECK(value(w, "connections/socket/count") == "1");
    CHECK(value(w, "messages/received") == "1");
    CHECK(value(w, "messages/sent") == "1");
    CHECK(value(w, "bytes/received") == std::to_string(CONNECT.size()));
    CHECK(value(w, "bytes/sent") == "4");
    CHECK(load(w, "connections", "1min") > 0);
    CHECK(load(w, "sockets", "1min") > 0);
    w.send(p, "\xe0\x00"s);
    w.finish(p);
    w.advance(10000);
    CHECK(value(w, "clients/total") == "0");
    CHECK(value(w, "clients/maximum") == "1");
    CHECK(value(w, "clients/connected") == "0");
    CHECK(value(w, "connections/socket/count") == "0");
}

TEST_CASE("a subscriber gets all of $SYS and then the changes") {
    World w;
    Listener *l = w.listen(Protocol::Mqtt);
    w.start();
    Peer *p = w.connect(l);
    w.send(p, CONNECT);
    w.send(p, "\x82\x0b\x00\x01\x00\x06$SYS/#\x00"s);
    w.settle();
    std::string all = w.take(p);
    CHECK(all.find("$SYS/broker/version") != all.npos);
    CHECK(all.find("$SYS/broker/load/bytes/sent/15min") != all.npos);
    w.advance(10000);
    std::string changes = w.take(p);
    CHECK(changes.find("$SYS/broker/uptime") != changes.npos);
    CHECK(changes.find("$SYS/broker/version") == changes.npos);
}

TEST_CASE("packet/out tells what waits for absent clients") {
    World w;
    Listener *l = w.listen(Protocol::Mqtt);
    w.start();
    std::string stay = CONNECT;
    stay[9] = 0; // not a clean session
    Peer *p = w.connect(l);
    w.send(p, stay + "\x82\x06\x00\x01\x00\x01t\x01"s + "\xe0\x00"s);
    w.settle();
    publish_internal(w.broker, "t", "one", 1, false);
    publish_internal(w.broker, "t", "three", 1, false);
    w.advance(10000);
    CHECK(value(w, "packet/out/count") == "2");
    CHECK(value(w, "packet/out/bytes") == "8");
    p = w.connect(l);
    w.send(p, stay);
    w.advance(10000);
    CHECK(value(w, "packet/out/count") == "0");
    CHECK(value(w, "packet/out/bytes") == "0");
    w.send(p, "\xe0\x00"s);
    w.settle();
    publish_internal(w.broker, "t", "four", 1, false);
    w.send(w.connect(l), CONNECT); // clean: the queue is thrown away
    w.advance(10000);
    CHECK(value(w, "packet/out/count") == "0");
    CHECK(value(w, "packet/out/bytes") == "0");
}

TEST_CASE("loads decay exponentially and are per minute") {
    World w;
    w.start();
    w.broker->stats.publish_dropped += 60;
    w.advance(9997); // to 1010.000
    w.advance(10);   // a timer may be one tick late
    double minutes = 9.997 / 60;
    for (int span : {1, 5, 15}) {
        CAPTURE(span);
        double expected = 60 / minutes * (1 - std::exp(-minutes / span));
        std::string topic = std::to_string(span) + "min";
        CHECK(load(w, "publish/dropped", topic) == doctest::Approx(expected).epsilon(0.002));
    }
    double before = load(w, "publish/dropped", "5min");
    w.advance(300000); // nothing happens for one span: e times less
    CHECK(load(w, "publish/dropped", "5min") == doctest::Approx(before / M_E).epsilon(0.002));
    w.advance(4 * 3600 * 1000);
    CHECK(value(w, "load/publish/dropped/15min") == "0.00");
}

TEST_CASE("a steady rate is what all loads come to") {
    World w;
    w.start();
    for (int i = 0; i < 1000; i++) {
        w.broker->stats.packets_in += 20;
        w.advance(10000);
    }
    for (const char *span : SPANS)
        CHECK(load(w, "messages/received", span) == doctest::Approx(120).epsilon(0.002));
}

TEST_CASE("one late timer after a long sleep leaves no old load") {
    World w;
    w.start();
    w.broker->stats.packets_in += 1000;
    w.advance(10000);
    w.now_ms += 100ull * 3600 * 1000; // the machine sleeps: no turn in between
    w.settle();
    CHECK(value(w, "load/messages/received/15min") == "0.00");
}

TEST_CASE("sys_interval 0 turns $SYS off") {
    World w;
    w.options.sys_interval_s = 0;
    w.start();
    w.advance(60000);
    CHECK(w.broker->sys == nullptr);
    CHECK_FALSE(timer_running(&w.broker->sys_timer));
    CHECK(retained_count(w.broker->retained) == 0);
}

TEST_CASE("a reload turns $SYS off and on") {
    World w;
    w.start();
    w.broker->stats.packets_in += 5;
    w.options.sys_interval_s = 0;
    broker_options_changed(w.broker);
    CHECK(w.broker->sys == nullptr);
    CHECK_FALSE(timer_running(&w.broker->sys_timer));
    CHECK(retained_count(w.broker->retained) == 0);
    w.advance(30000);
    w.options.sys_interval_s = 10;
    broker_options_changed(w.broker);
    CHECK(retained_count(w.broker->retained) == TOPICS);
    CHECK(value(w, "messages/received") == "5");
    w.advance(10000);
    CHECK(value(w, "load/messages/received/1min") == "0.00"); // they came before
}

TEST_CASE("a reload changes the interval of $SYS without publishing all again") {
    World w;
    w.start();
    uint64_t version = message_of(w, "version")->seq;
    uint64_t uptime = message_of(w, "uptime")->seq;
    w.options.sys_interval_s = 60; // next at 1020.000
    broker_options_changed(w.broker);
    CHECK(message_of(w, "uptime")->seq == uptime);
    w.advance(19900);
    CHECK(value(w, "uptime") == "0 seconds");
    w.advance(200);
    CHECK(value(w, "uptime") == "19 seconds");
    CHECK(message_of(w, "version")->seq == version);
}
