#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <bit>

#include "base/owned.h"
#include "net/neighbours.h"

constexpr uint64_t READ_EVERY_MS = 10000;
constexpr size_t ROUTES_MAX = 256 * 1024; // bytes looked at of a routing table
constexpr uint32_t ROUTE_IS_GATEWAY = 2;  // RTF_GATEWAY

// ---- routing tables as text ------------------------------------------------

// The next word of a line, or empty.
static Bytes next_word(Bytes *line) {
    while (!line->empty() && (line->front() == ' ' || line->front() == '\t'))
        line->remove_prefix(1);
    size_t n = 0;
    while (n < line->size() && (*line)[n] != ' ' && (*line)[n] != '\t') n++;
    Bytes word(line->data(), n);
    line->remove_prefix(n);
    return word;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Exactly `n` bytes written as 2n hex digits.
static bool parse_hex(Bytes text, uint8_t *out, size_t n) {
    if (text.size() != 2 * n) return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = static_cast<uint8_t>(high << 4 | low);
    }
    return true;
}

static bool parse_hex32(Bytes text, uint32_t *out) {
    uint32_t value = 0;
    if (text.empty() || text.size() > 8) return false;
    for (char c : text) {
        int digit = hex_digit(c);
        if (digit < 0) return false;
        value = value << 4 | static_cast<uint32_t>(digit);
    }
    *out = value;
    return true;
}

// interface, destination, gateway, flags, references, use, metric, mask. The
// addresses are numbers in this machine's byte order whose bytes in memory are
// the address.
static void parse_route_line(Bytes line, Vec<Addr> *gateways) {
    uint32_t destination, gateway, flags, mask;
    next_word(&line);
    if (!parse_hex32(next_word(&line), &destination)) return;
    if (!parse_hex32(next_word(&line), &gateway)) return;
    if (!parse_hex32(next_word(&line), &flags)) return;
    for (int i = 0; i < 3; i++) next_word(&line);
    if (!parse_hex32(next_word(&line), &mask)) return;
    if (destination || mask || !(flags & ROUTE_IS_GATEWAY)) return;
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = gateway;
    vec_push(gateways, addr_from_sockaddr(reinterpret_cast<sockaddr *>(&in), sizeof(in)));
}

// destination, its length, source, its length, next hop, metric, references,
// use, flags, interface.
static void parse_route6_line(Bytes line, Vec<Addr> *gateways) {
    uint8_t destination[16], hop[16];
    uint32_t length, flags;
    if (!parse_hex(next_word(&line), destination, 16)) return;
    if (!parse_hex32(next_word(&line), &length) || length) return;
    for (int i = 0; i < 2; i++) next_word(&line);
    if (!parse_hex(next_word(&line), hop, 16)) return;
    for (int i = 0; i < 3; i++) next_word(&line);
    if (!parse_hex32(next_word(&line), &flags) || !(flags & ROUTE_IS_GATEWAY)) return;
    sockaddr_in6 in6 = {};
    in6.sin6_family = AF_INET6;
    memcpy(&in6.sin6_addr, hop, 16);
    vec_push(gateways, addr_from_sockaddr(reinterpret_cast<sockaddr *>(&in6), sizeof(in6)));
}

void neighbours_parse_route(Bytes text, Vec<Addr> *gateways) {
    while (!text.empty()) parse_route_line(cut(&text, '\n'), gateways);
}

void neighbours_parse_route6(Bytes text, Vec<Addr> *gateways) {
    while (!text.empty()) parse_route6_line(cut(&text, '\n'), gateways);
}

// ---- from the system -------------------------------------------------------

static void read_routes(const char *path, Vec<Addr> *gateways,
                        void (*parse)(Bytes, Vec<Addr> *)) {
    Fd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (!fd) return; // not Linux: no gateway is known
    char *text = static_cast<char *>(mem_alloc(ROUTES_MAX));
    size_t size = 0;
    while (size < ROUTES_MAX) {
        ssize_t n = read(fd.value, text + size, ROUTES_MAX - size);
        if (n <= 0) break;
        size += static_cast<size_t>(n);
    }
    parse(Bytes(text, size), gateways);
    mem_free(text);
}

// Bits set in a netmask.
static uint8_t prefix_of(const sockaddr *mask, int family) {
    if (!mask) return 0;
    bool v4 = family == AF_INET;
    uint8_t ip[16] = {};
    if (v4) memcpy(ip, &reinterpret_cast<const sockaddr_in *>(mask)->sin_addr, 4);
    else memcpy(ip, &reinterpret_cast<const sockaddr_in6 *>(mask)->sin6_addr, 16);
    int bits = 0;
    for (uint8_t b : ip) bits += std::popcount(b);
    return static_cast<uint8_t>(bits);
}

static void read_interfaces(Vec<InterfaceAddr> *out) {
    ifaddrs *all = nullptr;
    if (getifaddrs(&all) != 0) return;
    for (const ifaddrs *i = all; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6) continue;
        InterfaceAddr a;
        a.addr = addr_from_sockaddr(i->ifa_addr, family == AF_INET ? sizeof(sockaddr_in)
                                                                   : sizeof(sockaddr_in6));
        a.prefix = prefix_of(i->ifa_netmask, family);
        a.interface = static_cast<uint16_t>(if_nametoindex(i->ifa_name));
        vec_push(out, a);
    }
    freeifaddrs(all);
}

void neighbours_read(Neighbours *n, uint64_t now_ms) {
    if (n->fixed) return;
    if (n->read_at_ms && now_ms - n->read_at_ms < READ_EVERY_MS) return;
    n->read_at_ms = now_ms;
    n->addrs.size = n->gateways.size = 0;
    read_interfaces(&n->addrs);
    read_routes("/proc/net/route", &n->gateways, neighbours_parse_route);
    read_routes("/proc/net/ipv6_route", &n->gateways, neighbours_parse_route6);
}

void neighbours_free(Neighbours *n) {
    vec_free(&n->addrs);
    vec_free(&n->gateways);
}
