#include "net/neighbours.h"

const char *home_text(Home h) {
    switch (h) {
    case Home::Yes: return "the address is at home";
    case Home::Stranger: return "the address is not one of a home network";
    case Home::Gateway: return "the address is the default gateway's, which may hide strangers";
    case Home::Cgnat: return "the address is shared by a provider's customers (100.64.0.0/10)";
    case Home::NoHost: return "the web request has no Host";
    case Home::ForeignHost: return "the Host of the web request is not one of a home network";
    case Home::ForeignOrigin: return "the Origin of the web page is not one of a home network";
    case Home::Forwarded: return "the request came through a proxy that is not trusted";
    }
    return "";
}

// ---- addresses -------------------------------------------------------------

static bool is_rfc1918(const Addr &a) {
    if (a.family != AddrFamily::Ipv4) return false;
    const uint8_t *ip = a.ip + 12;
    return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
           (ip[0] == 192 && ip[1] == 168);
}

static bool is_cgnat(const Addr &a) {
    return a.family == AddrFamily::Ipv4 && a.ip[12] == 100 && (a.ip[13] & 0xc0) == 64;
}

static bool is_link_local(const Addr &a) {
    if (a.family == AddrFamily::Ipv4) return a.ip[12] == 169 && a.ip[13] == 254;
    return a.family == AddrFamily::Ipv6 && a.ip[0] == 0xfe && (a.ip[1] & 0xc0) == 0x80;
}

static bool is_unique_local(const Addr &a) {
    return a.family == AddrFamily::Ipv6 && (a.ip[0] & 0xfe) == 0xfc;
}

// An address that nobody reaches from the internet.
static bool is_private(const Addr &a) {
    return addr_is_loopback(a) || is_rfc1918(a) || is_link_local(a) || is_unique_local(a);
}

static bool is_gateway(const Neighbours &n, const Addr &a) {
    for (const Addr &g : n.gateways)
        if (addr_same_ip(g, a)) return true;
    return false;
}

static bool has_rfc1918(const Neighbours &n, uint16_t interface) {
    for (const InterfaceAddr &i : n.addrs)
        if (i.interface == interface && is_rfc1918(i.addr)) return true;
    return false;
}

// A global IPv6 address of our own street: the /64 that is on the link of an
// interface which also has an address of a household.
static bool is_on_home_link(const Neighbours &n, const Addr &a) {
    if (a.family != AddrFamily::Ipv6) return false;
    for (const InterfaceAddr &i : n.addrs) {
        if (i.prefix != 64 || !addr_same_prefix(i.addr, a, 64)) continue;
        if (has_rfc1918(n, i.interface)) return true;
    }
    return false;
}

Home neighbours_judge(const Neighbours &n, const Addr &peer) {
    if (peer.family == AddrFamily::Unix || addr_is_loopback(peer)) return Home::Yes;
    if (is_gateway(n, peer)) return Home::Gateway;
    if (is_cgnat(peer)) return Home::Cgnat;
    if (is_private(peer) || is_on_home_link(n, peer)) return Home::Yes;
    return Home::Stranger;
}

// ---- web requests ----------------------------------------------------------

// Cuts the port off "host", "host:80", "[::1]" or "[::1]:80". False when what
// follows the host is anything but a port.
static bool cut_port(Bytes *host) {
    Bytes v = *host, port;
    if (!v.empty() && v.front() == '[') {
        size_t end = v.find(']');
        if (end == Bytes::npos) return false;
        *host = slice(v, 0, end + 1);
        port = slice(v, end + 1);
    } else {
        size_t colon = v.find(':');
        *host = slice(v, 0, colon);
        port = colon == Bytes::npos ? Bytes() : slice(v, colon);
    }
    for (size_t i = 0; i < port.size(); i++)
        if (i == 0 ? port[i] != ':' : port[i] < '0' || port[i] > '9') return false;
    return !host->empty();
}

static bool is_name_char(char c) {
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// `localhost`, another single label, or a name under .local: names that the
// household's own devices give each other.
static bool is_home_name(Bytes host) {
    if (!host.empty() && host.back() == '.') host.remove_suffix(1);
    if (host.empty()) return false;
    for (char c : host)
        if (!is_name_char(c) && c != '.') return false;
    if (host.find('.') == Bytes::npos) return true;
    constexpr Bytes LOCAL = ".local";
    return host.size() > LOCAL.size() &&
           equal_nocase(slice(host, host.size() - LOCAL.size()), LOCAL);
}

static bool is_ours(const Neighbours &n, const Addr &a) {
    for (const InterfaceAddr &i : n.addrs)
        if (addr_same_ip(i.addr, a)) return true;
    return false;
}

// The host part of "scheme://host:port"; empty if it is none.
static Bytes origin_host(Bytes origin) {
    size_t at = origin.find("://");
    if (at == Bytes::npos) return Bytes();
    Bytes host = slice(origin, at + 3);
    return cut_port(&host) ? host : Bytes();
}

static bool is_host_at_home(const Neighbours &n, Bytes host, const Vec<Bytes> &allowed) {
    if (!cut_port(&host)) return false;
    Addr a;
    if (addr_parse_ip(host, &a)) {
        if (is_private(a) || is_ours(n, a)) return true;
    } else if (is_home_name(host)) {
        return true;
    }
    for (const Bytes &origin : allowed)
        if (equal_nocase(origin_host(origin), host)) return true;
    return false;
}

static bool is_origin_at_home(const Neighbours &n, const Addr &peer, Bytes origin,
                              const Vec<Bytes> &allowed) {
    for (const Bytes &listed : allowed)
        if (equal_nocase(listed, origin)) return true;
    // A file on a disk, a sandboxed frame: nobody can tell whose it is.
    if (equal_nocase(origin, "null")) return addr_is_loopback(peer);
    size_t at = origin.find("://");
    Bytes scheme = at == Bytes::npos ? Bytes() : slice(origin, 0, at);
    if (!equal_nocase(scheme, "http") && !equal_nocase(scheme, "https")) return false;
    static const Vec<Bytes> NONE; // only exactly what is listed, not its host
    return is_host_at_home(n, slice(origin, at + 3), NONE);
}

Home neighbours_judge_web(const Neighbours &n, const Addr &peer, const WebRequest &r,
                          const Vec<Bytes> &allowed_origins) {
    if (r.has_forwarding) return Home::Forwarded;
    if (!r.has_host) return Home::NoHost;
    if (!is_host_at_home(n, r.host, allowed_origins)) return Home::ForeignHost;
    if (r.has_origin && !is_origin_at_home(n, peer, r.origin, allowed_origins))
        return Home::ForeignOrigin;
    return Home::Yes;
}
