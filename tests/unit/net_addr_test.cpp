#include "net/addr.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <string>

static Addr parse(Bytes text) {
    Addr a;
    REQUIRE(addr_parse_ip(text, &a));
    return a;
}

static std::string ip_of(Bytes text) {
    char out[ADDR_TEXT];
    return addr_ip_text(parse(text), out);
}

TEST_CASE("IP literals are parsed and written back") {
    CHECK(ip_of("192.168.1.5") == "192.168.1.5");
    CHECK(ip_of("fe80::1") == "fe80::1");
    CHECK(ip_of("[2001:db8::5]") == "2001:db8::5");
    CHECK(ip_of("::") == "::");
    CHECK(ip_of("::ffff:10.0.0.1") == "10.0.0.1");
    CHECK(parse("::ffff:10.0.0.1").family == AddrFamily::Ipv4);
}

TEST_CASE("what is no IP literal is refused") {
    for (Bytes text : {Bytes(""), Bytes("[]"), Bytes("localhost"), Bytes("1.2.3"), Bytes("1.2.3.4.5"),
                       Bytes("1.2.3.256"), Bytes("fe80::1%eth0"), Bytes("1.2.3.4\0", 8),
                       Bytes("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc")}) {
        Addr a;
        CHECK_FALSE(addr_parse_ip(text, &a));
    }
}

TEST_CASE("an address as text has its port behind it, without brackets") {
    char out[ADDR_TEXT];
    Addr a = parse("::1");
    a.port = 1883;
    CHECK(std::string(addr_text(a, out)) == "::1:1883");
    a = parse("192.168.1.5");
    a.port = 65535;
    CHECK(std::string(addr_text(a, out)) == "192.168.1.5:65535");
    Addr u;
    u.family = AddrFamily::Unix;
    CHECK(std::string(addr_text(u, out)) == "unix");
}

TEST_CASE("socket addresses go both ways") {
    for (Bytes text : {Bytes("10.1.2.3"), Bytes("2001:db8::1")}) {
        Addr a = parse(text);
        a.port = 4711;
        sockaddr_storage s;
        socklen_t n = addr_to_sockaddr(a, &s);
        Addr b = addr_from_sockaddr(reinterpret_cast<sockaddr *>(&s), n);
        CHECK(addr_same_ip(a, b));
        CHECK(b.port == 4711);
    }
    sockaddr_storage s = {};
    CHECK(addr_from_sockaddr(reinterpret_cast<sockaddr *>(&s), 0).family == AddrFamily::None);
    s.ss_family = AF_INET;
    CHECK(addr_from_sockaddr(reinterpret_cast<sockaddr *>(&s), 4).family == AddrFamily::None);
    s.ss_family = AF_UNIX;
    CHECK(addr_from_sockaddr(reinterpret_cast<sockaddr *>(&s), 2).family == AddrFamily::Unix);
}

TEST_CASE("prefixes are compared bit by bit") {
    CHECK(addr_same_prefix(parse("192.168.1.5"), parse("192.168.1.77"), 24));
    CHECK_FALSE(addr_same_prefix(parse("192.168.1.5"), parse("192.168.2.5"), 24));
    CHECK(addr_same_prefix(parse("192.168.1.5"), parse("192.168.2.5"), 22));
    CHECK(addr_same_prefix(parse("1.2.3.4"), parse("200.2.3.4"), 0));
    CHECK_FALSE(addr_same_prefix(parse("1.2.3.4"), parse("1.2.3.5"), 32));
    CHECK(addr_same_prefix(parse("2001:db8::1"), parse("2001:db8::2"), 64));
    CHECK_FALSE(addr_same_prefix(parse("2001:db8:0:1::1"), parse("2001:db8::1"), 64));
    CHECK_FALSE(addr_same_prefix(parse("::1"), parse("0.0.0.1"), 0));
    CHECK(addr_same_prefix(parse("::1"), parse("::1"), 128));
}

TEST_CASE("loopback is 127/8 and ::1") {
    CHECK(addr_is_loopback(parse("127.0.0.1")));
    CHECK(addr_is_loopback(parse("127.255.0.9")));
    CHECK(addr_is_loopback(parse("::1")));
    CHECK(addr_is_loopback(parse("::ffff:127.0.0.1")));
    CHECK_FALSE(addr_is_loopback(parse("128.0.0.1")));
    CHECK_FALSE(addr_is_loopback(parse("::2")));
}
