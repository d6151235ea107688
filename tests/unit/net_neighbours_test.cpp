#include "net/neighbours.h"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>

static Addr addr(Bytes text) {
    Addr a;
    REQUIRE(addr_parse_ip(text, &a));
    return a;
}

// A household: eth0 with 192.168.1.2/24 and a global /64, wan0 with global
// addresses only, the router at .1.
struct Household {
    size_t mem_before = mem_used();
    Neighbours n;
    Vec<Bytes> origins;

    Household() {
        n.fixed = true;
        add("192.168.1.2", 24, 2);
        add("2001:db8:1:2::2", 64, 2);
        add("2001:db8:9:9::2", 64, 3);
        add("203.0.113.7", 24, 3);
        add("2001:db8:7:7::2", 128, 2);
        vec_push(&n.gateways, addr("192.168.1.1"));
        vec_push(&n.gateways, addr("fe80::1"));
    }
    ~Household() {
        neighbours_free(&n);
        vec_free(&origins);
        CHECK(mem_used() == mem_before);
    }
    void add(Bytes text, uint8_t prefix, uint16_t interface) {
        InterfaceAddr i;
        i.addr = addr(text);
        i.prefix = prefix;
        i.interface = interface;
        vec_push(&n.addrs, i);
    }
    Home judge(Bytes text) { return neighbours_judge(n, addr(text)); }
    Home web(Bytes host, Bytes origin = Bytes(), Bytes peer = "192.168.1.9") {
        WebRequest r;
        r.has_host = host.data();
        r.host = host;
        r.has_origin = origin.data();
        r.origin = origin;
        return neighbours_judge_web(n, addr(peer), r, origins);
    }
};

TEST_CASE("loopback, Unix sockets and private networks are at home") {
    Household h;
    for (Bytes text : {Bytes("127.0.0.1"), Bytes("127.8.8.8"), Bytes("::1"), Bytes("10.0.0.1"),
                       Bytes("10.255.255.255"), Bytes("172.16.0.1"), Bytes("172.31.255.255"),
                       Bytes("192.168.77.1"), Bytes("169.254.3.4"), Bytes("fe80::2"),
                       Bytes("febf::1"), Bytes("fc00::1"), Bytes("fdff::1"),
                       Bytes("::ffff:192.168.1.9")}) {
        INFO(std::string(text));
        CHECK(h.judge(text) == Home::Yes);
    }
    Addr unix_peer;
    unix_peer.family = AddrFamily::Unix;
    CHECK(neighbours_judge(h.n, unix_peer) == Home::Yes);
}

TEST_CASE("everybody else is a stranger") {
    Household h;
    for (Bytes text : {Bytes("8.8.8.8"), Bytes("172.15.0.1"), Bytes("172.32.0.1"), Bytes("11.0.0.1"),
                       Bytes("192.169.0.1"), Bytes("100.63.0.1"), Bytes("100.128.0.1"),
                       Bytes("2001:db8:5::1"), Bytes("fec0::1"), Bytes("fe00::1"), Bytes("::2")}) {
        INFO(std::string(text));
        CHECK(h.judge(text) == Home::Stranger);
    }
}

TEST_CASE("a global IPv6 address on the link of a home interface is at home") {
    Household h;
    CHECK(h.judge("2001:db8:1:2::99") == Home::Yes);
    CHECK(h.judge("2001:db8:1:3::99") == Home::Stranger);
    CHECK(h.judge("2001:db8:9:9::99") == Home::Stranger); // no RFC 1918 address there
    CHECK(h.judge("2001:db8:7:7::99") == Home::Stranger); // not an on-link /64
}

TEST_CASE("the default gateway may hide strangers") {
    Household h;
    CHECK(h.judge("192.168.1.1") == Home::Gateway);
    CHECK(h.judge("fe80::1") == Home::Gateway);
}

TEST_CASE("a provider's shared addresses are not at home") {
    Household h;
    CHECK(h.judge("100.64.0.1") == Home::Cgnat);
    CHECK(h.judge("100.127.255.255") == Home::Cgnat);
}

TEST_CASE("a web request needs a Host that names something at home") {
    Household h;
    for (Bytes host :
         {Bytes("localhost"), Bytes("localhost:8080"), Bytes("LOCALHOST."), Bytes("raspberrypi"),
          Bytes("raspberrypi:9001"), Bytes("pi.local"), Bytes("a.b.LOCAL:1"), Bytes("192.168.1.2"),
          Bytes("192.168.1.2:9001"), Bytes("[fe80::2]"), Bytes("[::1]:80"), Bytes("203.0.113.7"),
          Bytes("[2001:db8:9:9::2]:1"), Bytes("127.0.0.1")}) {
        INFO(std::string(host));
        CHECK(h.web(host) == Home::Yes);
    }
    for (Bytes host :
         {Bytes("example.com"), Bytes("local.evil.com"), Bytes("xlocal.com"), Bytes(".local"),
          Bytes("8.8.8.8"), Bytes("[2001:db8:5::1]"), Bytes("[::1"), Bytes("[::1]x"), Bytes(":80"),
          Bytes("localhost:8x"), Bytes("a b"), Bytes("evil@localhost"), Bytes("203.0.113.8"),
          Bytes("pi.local..")}) {
        INFO(std::string(host));
        CHECK(h.web(host) == Home::ForeignHost);
    }
    CHECK(h.web(Bytes()) == Home::NoHost);
    CHECK(h.web(Bytes("", 0)) == Home::ForeignHost);
}

TEST_CASE("an Origin must name something at home, or be listed") {
    Household h;
    CHECK(h.web("pi.local", "http://pi.local") == Home::Yes);
    CHECK(h.web("pi.local", "https://192.168.1.2:8123") == Home::Yes);
    CHECK(h.web("pi.local", "http://homeassistant:8123") == Home::Yes);
    for (Bytes origin : {Bytes("https://example.com"), Bytes("http://8.8.8.8"), Bytes(""),
                         Bytes("chrome-extension://abcdef"), Bytes("file://localhost"),
                         Bytes("http://"), Bytes("localhost"), Bytes("http://localhost/x")}) {
        INFO(std::string(origin));
        CHECK(h.web("pi.local", origin) == Home::ForeignOrigin);
    }
    vec_push(&h.origins, Bytes("https://Example.com:8443"));
    CHECK(h.web("pi.local", "https://example.com:8443") == Home::Yes);
    CHECK(h.web("pi.local", "https://example.com") == Home::ForeignOrigin);
    CHECK(h.web("example.com", "https://example.com:8443") == Home::Yes);
    CHECK(h.web("other.com", "https://example.com:8443") == Home::ForeignHost);
}

TEST_CASE("the origin null is at home from loopback only") {
    Household h;
    CHECK(h.web("localhost", "null", "127.0.0.1") == Home::Yes);
    CHECK(h.web("localhost", "null", "::1") == Home::Yes);
    CHECK(h.web("localhost", "null", "192.168.1.9") == Home::ForeignOrigin);
}

TEST_CASE("a forwarding header from an untrusted proxy is not at home") {
    Household h;
    WebRequest r;
    r.has_host = r.has_forwarding = true;
    r.host = "localhost";
    CHECK(neighbours_judge_web(h.n, addr("127.0.0.1"), r, h.origins) == Home::Forwarded);
}

TEST_CASE("default routes are found in the kernel's tables") {
    Vec<Addr> found;
    neighbours_parse_route("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
                           "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
                           "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
                           "tun0\t00000000\t0102000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
                           "broken\n\n\teth0 zz",
                           &found);
    REQUIRE(found.size == 1);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    CHECK(addr_same_ip(found[0], addr("192.168.1.1")));
#endif
    found.size = 0;
    neighbours_parse_route6(
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "fe800000000000000000000000000001 00000400 00000005 00000000 00450003     eth0\n"
        "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
        "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
        "0000",
        &found);
    REQUIRE(found.size == 1);
    CHECK(addr_same_ip(found[0], addr("fe80::1")));
    vec_free(&found);
}

TEST_CASE("this machine's own addresses can be read") {
    Neighbours n;
    neighbours_read(&n, 100000);
    bool loopback = false;
    for (const InterfaceAddr &i : n.addrs)
        if (addr_is_loopback(i.addr)) loopback = i.prefix == 8 || i.prefix == 128;
    CHECK(loopback);
    uint32_t size = n.addrs.size;
    n.addrs.size = 0;
    neighbours_read(&n, 105000); // too early
    CHECK(n.addrs.size == 0);
    neighbours_read(&n, 110000);
    CHECK(n.addrs.size == size);
    neighbours_free(&n);
}

TEST_CASE("each verdict has a text") {
    for (int i = 0; i <= static_cast<int>(Home::Forwarded); i++)
        CHECK(std::string(home_text(static_cast<Home>(i))).size() > 5);
}
