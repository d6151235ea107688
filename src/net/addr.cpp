#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

static constexpr uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static Addr from_ip(const uint8_t ip[16], uint16_t port) {
    Addr a;
    memcpy(a.ip, ip, 16);
    a.port = port;
    bool mapped = memcmp(ip, MAPPED, sizeof(MAPPED)) == 0;
    a.family = mapped ? AddrFamily::Ipv4 : AddrFamily::Ipv6;
    return a;
}

static Addr from_ipv4(const void *ip4, uint16_t port) {
    uint8_t ip[16];
    memcpy(ip, MAPPED, sizeof(MAPPED));
    memcpy(ip + 12, ip4, 4);
    return from_ip(ip, port);
}

Addr addr_from_sockaddr(const sockaddr *sa, socklen_t size) {
    Addr none;
    if (size < sizeof(sa_family_t)) return none;
    if (sa->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        return from_ipv4(&in.sin_addr, ntohs(in.sin_port));
    }
    if (sa->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        return from_ip(in6.sin6_addr.s6_addr, ntohs(in6.sin6_port));
    }
    if (sa->sa_family == AF_UNIX) none.family = AddrFamily::Unix;
    return none;
}

socklen_t addr_to_sockaddr(const Addr &a, sockaddr_storage *out) {
    *out = {};
    if (a.family == AddrFamily::Ipv4) {
        sockaddr_in in = {};
        in.sin_family = AF_INET;
        in.sin_port = htons(a.port);
        memcpy(&in.sin_addr, a.ip + 12, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    if (a.family == AddrFamily::Ipv6) {
        sockaddr_in6 in6 = {};
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(a.port);
        memcpy(&in6.sin6_addr, a.ip, 16);
        memcpy(out, &in6, sizeof(in6));
        return sizeof(in6);
    }
    out->ss_family = a.family == AddrFamily::Unix ? AF_UNIX : AF_UNSPEC;
    return sizeof(sa_family_t);
}

const char *addr_ip_text(const Addr &a, char out[ADDR_TEXT]) {
    switch (a.family) {
    case AddrFamily::Ipv4: inet_ntop(AF_INET, a.ip + 12, out, ADDR_TEXT); break;
    case AddrFamily::Ipv6: inet_ntop(AF_INET6, a.ip, out, ADDR_TEXT); break;
    case AddrFamily::Unix: snprintf(out, ADDR_TEXT, "unix"); break;
    case AddrFamily::None: snprintf(out, ADDR_TEXT, "none"); break;
    }
    return out;
}

const char *addr_text(const Addr &a, char out[ADDR_TEXT]) {
    addr_ip_text(a, out);
    if (a.family != AddrFamily::Ipv4 && a.family != AddrFamily::Ipv6) return out;
    size_t n = strlen(out);
    snprintf(out + n, ADDR_TEXT - n, ":%u", static_cast<unsigned>(a.port));
    return out;
}

bool addr_parse_ip(Bytes text, Addr *out) {
    if (text.size() > 2 && text.front() == '[' && text.back() == ']')
        text = Bytes(text.data() + 1, text.size() - 2);
    char copy[INET6_ADDRSTRLEN];
    if (text.empty() || text.size() >= sizeof(copy)) return false;
    if (memchr(text.data(), 0, text.size())) return false;
    memcpy(copy, text.data(), text.size());
    copy[text.size()] = 0;

    uint8_t ip[16];
    if (inet_pton(AF_INET, copy, ip) == 1) {
        *out = from_ipv4(ip, 0);
        return true;
    }
    if (inet_pton(AF_INET6, copy, ip) != 1) return false;
    *out = from_ip(ip, 0);
    return true;
}

static bool is_ip(const Addr &a) {
    return a.family == AddrFamily::Ipv4 || a.family == AddrFamily::Ipv6;
}

bool addr_same_ip(const Addr &a, const Addr &b) {
    return is_ip(a) && a.family == b.family && memcmp(a.ip, b.ip, 16) == 0;
}

bool addr_same_prefix(const Addr &a, const Addr &b, int bits) {
    if (!is_ip(a) || a.family != b.family) return false;
    int total = bits + (a.family == AddrFamily::Ipv4 ? 96 : 0);
    size_t whole = static_cast<size_t>(total / 8);
    if (whole >= 16) return memcmp(a.ip, b.ip, 16) == 0;
    if (memcmp(a.ip, b.ip, whole) != 0) return false;
    return (a.ip[whole] ^ b.ip[whole]) >> (8 - total % 8) == 0;
}

bool addr_is_loopback(const Addr &a) {
    static constexpr uint8_t ONE[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (a.family == AddrFamily::Ipv4) return a.ip[12] == 127;
    return a.family == AddrFamily::Ipv6 && memcmp(a.ip, ONE, 16) == 0;
}
