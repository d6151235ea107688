// net/addr.h -- where a peer is, in 20 bytes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"

enum class AddrFamily : uint8_t { None, Unix, Ipv4, Ipv6 };

// IPv4 addresses stand in the last four bytes of `ip` (as ::ffff:a.b.c.d), so
// that a mapped address and a plain one are the same to every rule.
struct Addr {
    uint8_t ip[16] = {};
    uint16_t port = 0; // host order
    AddrFamily family = AddrFamily::None;
    uint8_t reserved = 0;
};
static_assert(sizeof(Addr) == 20);

constexpr size_t ADDR_TEXT = 64; // room for any address as text

// An IPv4-mapped IPv6 address becomes IPv4.
Addr addr_from_sockaddr(const sockaddr *, socklen_t);
// Bytes of `out` used.
socklen_t addr_to_sockaddr(const Addr &, sockaddr_storage *out);

// "192.168.1.5", "fe80::1", "unix"; returns `out`.
const char *addr_ip_text(const Addr &, char out[ADDR_TEXT]);
// "192.168.1.5:1883", "::1:1883" (without brackets, as logs have it), "unix".
const char *addr_text(const Addr &, char out[ADDR_TEXT]);

// An IP literal (IPv6 with or without brackets, no zone). False if it is none.
[[nodiscard]] bool addr_parse_ip(Bytes text, Addr *out);

bool addr_same_ip(const Addr &, const Addr &);
// True if the first `bits` bits agree (IPv4: counted within its 32).
bool addr_same_prefix(const Addr &, const Addr &, int bits);
bool addr_is_loopback(const Addr &);
