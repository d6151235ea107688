// Who may connect when nothing says so: the rules of DESIGN.md, seen at CONNECT.
#include <doctest/doctest.h>

#include "sim/sim_client.h"

using namespace sim;

static Addr addr(std::string_view text) {
    Addr a;
    REQUIRE(addr_parse_ip(text, &a));
    a.port = 50123;
    return a;
}

// A house: eth0 with 192.168.1.2 and a global /64, a second interface with a
// global /64 and no private address, the router at .1.
struct House : Scene {
    explicit House(Anonymous anonymous = Anonymous::Home) {
        for (Listener *l : {plain, web}) World::policy_of(l)->anonymous = anonymous;
        add("192.168.1.2", 24, 2);
        add("2001:db8:1:2::2", 64, 2);
        add("2001:db8:5:5::2", 48, 2);
        add("2001:db8:9:9::2", 64, 3);
        add("203.0.113.7", 24, 3);
        vec_push(&world.net->neighbours.gateways, addr("192.168.1.1"));
        vec_push(&world.net->neighbours.gateways, addr("fe80::1"));
    }
    void add(std::string_view text, uint8_t prefix, uint16_t interface) {
        InterfaceAddr i;
        i.addr = addr(text);
        i.prefix = prefix;
        i.interface = interface;
        vec_push(&world.net->neighbours.addrs, i);
    }
    // "yes"; else why not, and the log and both versions' answers are right.
    bool welcomes(const Addr &from) {
        bool yes = open({.id = "a", .version = 5}, plain, from)->seen() == "connack";
        log.lines.clear();
        SimClient *v5 = open({.id = "a", .version = 5}, plain, from);
        CHECK(v5->seen() == (yes ? "connack" : "connack 0x87, closed"));
        SimClient *v4 = open({.id = "b", .version = 4}, plain, from);
        CHECK(v4->seen() == (yes ? "connack" : "connack 0x05, closed"));
        char text[ADDR_TEXT];
        addr_text(from, text);
        CHECK(log.has(text));
        CHECK(log.has("not authorised") == !yes);
        CHECK(log.has("allow_anonymous") == !yes); // the line that changes it
        return yes;
    }
    bool welcomes(std::string_view from) { return welcomes(addr(from)); }
    bool welcomes_web(std::string_view host, std::string_view headers = "",
                      std::string_view from = "192.168.1.9") {
        log.lines.clear();
        std::string seen = open_web({.id = "w", .version = 5}, addr(from), host, headers)->seen();
        bool yes = seen == "connack";
        if (!yes) {
            CHECK(seen == "connack 0x87, closed");
            CHECK(log.has(from));
            CHECK(log.has("not authorised"));
        }
        return yes;
    }
};

TEST_CASE("at home: this machine, by loopback or a Unix socket") {
    House s;
    CHECK(s.welcomes("127.0.0.1"));
    CHECK(s.welcomes("127.9.9.9"));
    CHECK(s.welcomes("::1"));
    Addr unix_socket;
    unix_socket.family = AddrFamily::Unix;
    CHECK(s.welcomes(unix_socket));
}

TEST_CASE("at home: RFC 1918, link-local, unique local IPv6") {
    House s;
    for (const char *ip : {"10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.0.5", "169.254.7.7",
                           "fe80::5", "fd12:3456::1", "fc00::1", "::ffff:192.168.1.77"}) {
        CAPTURE(ip);
        CHECK(s.welcomes(ip));
    }
}

TEST_CASE("not at home: everything else, the edges of the private blocks too") {
    House s;
    for (const char *ip : {"8.8.8.8", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
                           "11.0.0.1", "9.255.255.255", "169.253.1.1", "203.0.113.9", "fec0::1",
                           "2001:db8:ffff::1", "fe00::1", "::ffff:8.8.8.8", "0.0.0.0", "::"}) {
        CAPTURE(ip);
        CHECK_FALSE(s.welcomes(ip));
    }
    CHECK(s.log.has("the address is not one of a home network"));
}

TEST_CASE("not at home: the default gateway, which may hide strangers") {
    House s;
    CHECK_FALSE(s.welcomes("192.168.1.1"));
    CHECK(s.log.has("default gateway"));
    CHECK_FALSE(s.welcomes("fe80::1"));
    CHECK(s.welcomes("192.168.1.3"));
}

TEST_CASE("not at home: CGNAT, whole and nothing beside it") {
    House s;
    for (const char *ip : {"100.64.0.0", "100.100.1.1", "100.127.255.255"}) {
        CAPTURE(ip);
        CHECK_FALSE(s.welcomes(ip));
        CHECK(s.log.has("100.64.0.0/10"));
    }
    CHECK_FALSE(s.welcomes("100.63.255.255"));
    CHECK_FALSE(s.welcomes("100.128.0.0"));
}

TEST_CASE("global IPv6: the on-link /64 of an interface that has an RFC 1918 address, only") {
    House s;
    CHECK(s.welcomes("2001:db8:1:2:abcd::1"));
    CHECK_FALSE(s.welcomes("2001:db8:1:3::1"));   // another /64
    CHECK_FALSE(s.welcomes("2001:db8:9:9::77"));  // no private address there
    CHECK_FALSE(s.welcomes("2001:db8:5:6::1"));   // a shorter prefix is no home
}

TEST_CASE("allow_anonymous true lets everybody in, false nobody, not even loopback") {
    House all(Anonymous::Yes);
    for (const char *ip : {"8.8.8.8", "192.168.1.1", "100.64.0.1", "127.0.0.1"})
        CHECK(all.open({.version = 5}, all.plain, addr(ip))->seen() == "connack");
    CHECK(all.open_web({.version = 5}, addr("8.8.8.8"), "evil.example", "Origin: null\r\n")->seen() ==
          "connack");
    House none(Anonymous::No);
    for (const char *ip : {"127.0.0.1", "192.168.1.9"}) {
        CHECK(none.open({.version = 5}, none.plain, addr(ip))->seen() == "connack 0x87, closed");
        CHECK(none.open({.version = 4}, none.plain, addr(ip))->seen() == "connack 0x05, closed");
        CHECK(none.log.has(ip));
    }
}

TEST_CASE("a refused client has no session, and counts as refused") {
    House s;
    s.welcomes("8.8.8.8");
    CHECK(s.broker() != nullptr);
    CHECK_FALSE(s.connect({.id = "a", .clean = false})->welcome.present);
}

// ---- web requests ----------------------------------------------------------

TEST_CASE("web: the Host must name something at home") {
    House s;
    for (const char *host : {"192.168.1.2:9001", "192.168.1.2", "10.0.0.1", "127.0.0.1:1", "[::1]:9001",
                             "[fe80::2]", "[2001:db8:1:2::2]:9001", "203.0.113.7", "localhost",
                             "LOCALHOST:9001", "pi.local:9001", "Pi.LOCAL", "pi", "raspberrypi:9001",
                             "pi.local."}) {
        CAPTURE(host);
        CHECK(s.welcomes_web(host));
    }
    for (const char *host : {"evil.example", "evil.example:9001", "8.8.8.8", "[2001:db8::1]",
                             "192.168.1.2.evil.example", "pi.local.evil.example", "localhost.evil.example",
                             "100.64.0.1", "evil.example.", "xlocal.example"}) {
        CAPTURE(host);
        CHECK_FALSE(s.welcomes_web(host));
        CHECK(s.log.has("Host of the web request"));
    }
}

TEST_CASE("web: without any Host there is no WebSocket at all [RFC 6455 4.2.1]") {
    House s;
    SimClient c;
    c.world = &s.world;
    Peer *p = s.world.connect(s.web, addr("192.168.1.9"));
    std::string request = websocket::ws_request("x");
    request.erase(request.find("Host: x\r\n"), 9);
    s.world.send(p, request);
    s.world.settle();
    CHECK(p->inbox.starts_with("HTTP/1.1 400 "));
    CHECK(s.log.has("192.168.1.9:50123"));
}

TEST_CASE("web: an Origin, where there is one, must be at home too") {
    House s;
    auto origin = [&s](const std::string &o, const char *from = "192.168.1.9") {
        CAPTURE(o);
        return s.welcomes_web("192.168.1.2:9001", "Origin: " + o + "\r\n", from);
    };
    for (const char *o : {"http://192.168.1.2", "http://192.168.1.2:8080", "https://pi.local",
                          "http://localhost:3000", "http://pi", "http://[::1]:80", "HTTP://PI.LOCAL"})
        CHECK(origin(o));
    for (const char *o : {"http://evil.example", "https://evil.example:443", "http://8.8.8.8",
                          "http://192.168.1.2.evil.example", "http://localhost.evil.example", "evil",
                          "http://", "ftp://192.168.1.2", "chrome-extension://abc"}) {
        CHECK_FALSE(origin(o));
        CHECK(s.log.has("Origin"));
    }
}

TEST_CASE("web: Origin null is welcome from loopback only") {
    House s;
    CHECK(s.welcomes_web("localhost", "Origin: null\r\n", "127.0.0.1"));
    CHECK(s.welcomes_web("localhost", "Origin: null\r\n", "::1"));
    CHECK_FALSE(s.welcomes_web("localhost", "Origin: null\r\n", "192.168.1.9"));
}

TEST_CASE("web: what websockets_origin lists is welcome, its host as Host too, nothing else") {
    House s;
    ListenerOptions o = s.web->options;
    o.websockets_origins = {};
    vec_push(&o.websockets_origins, Bytes("https://panel.example"));
    vec_push(&o.websockets_origins, Bytes("http://192.168.1.2"));
    listener_change(s.web, o);
    vec_free(&o.websockets_origins);
    CHECK(s.welcomes_web("panel.example", "Origin: https://panel.example\r\n"));
    CHECK(s.welcomes_web("192.168.1.2", "Origin: https://panel.example\r\n"));
    CHECK(s.welcomes_web("192.168.1.2", "Origin: http://192.168.1.2\r\n"));
    CHECK(s.welcomes_web("panel.example")); // no browser sent it
    CHECK_FALSE(s.welcomes_web("evil.example"));
    // What is not listed is turned away before it is a WebSocket.
    SimClient *c = s.open_web({}, addr("192.168.1.9"), "192.168.1.2", "Origin: http://pi\r\n");
    CHECK(c->seen() == "closed");
}

TEST_CASE("web: a forwarding header from one who is no trusted proxy makes it refused") {
    House s;
    for (const char *h : {"X-Forwarded-For: 192.168.1.7", "x-forwarded-for: 127.0.0.1",
                          "Forwarded: for=192.168.1.7", "X-Real-IP: 192.168.1.7"}) {
        CAPTURE(h);
        CHECK_FALSE(s.welcomes_web("localhost", std::string(h) + "\r\n", "127.0.0.1"));
        CHECK(s.log.has("proxy"));
    }
}

TEST_CASE("web: a good Host does not make a stranger's address a neighbour's") {
    House s;
    for (const char *ip : {"8.8.8.8", "192.168.1.1", "100.64.0.1"}) {
        CAPTURE(ip);
        CHECK_FALSE(s.welcomes_web("localhost", "", ip));
    }
}

TEST_CASE("plain MQTT asks for neither Host nor Origin") {
    House s;
    CHECK(s.open({.version = 4}, s.plain, addr("192.168.1.9"))->seen() == "connack");
}
