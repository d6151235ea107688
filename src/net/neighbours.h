// net/neighbours.h -- who counts as being at home.
//
// When nothing in the configuration says who may connect, anonymous clients
// are welcome from this machine and from the networks of a household, and from
// nowhere else. These are the rules; they are pure functions over a list of
// the machine's addresses, so that tests can fake any network.
//
//   at home:  loopback, Unix sockets; RFC 1918, IPv4 and IPv6 link-local,
//             unique local IPv6; a global IPv6 address in the on-link /64 of an
//             interface that also has an RFC 1918 address
//   not:      the default gateway (a NAT or a container's proxy may hide
//             strangers behind it), CGNAT (100.64/10), everything else
//
// A web page from anywhere can make a browser at home connect to a private
// address. So a WebSocket or HTTP request is at home only with a Host, and an
// Origin where there is one, that names something at home; and without a
// forwarding header from an address that is not a trusted proxy.
#pragma once

#include "base/vec.h"
#include "net/addr.h"

enum class Home : uint8_t {
    Yes,
    Stranger,       // not an address of a household
    Gateway,        // the default gateway
    Cgnat,          // 100.64.0.0/10
    NoHost,         // a web request without Host
    ForeignHost,    // its Host is not at home
    ForeignOrigin,  // its Origin is not at home
    Forwarded,      // it came through a proxy that is not trusted
};
// For logs: "the address is not one of a home network"; never null.
const char *home_text(Home);

struct InterfaceAddr {
    Addr addr;
    uint8_t prefix = 0;       // length in bits
    uint16_t interface = 0;   // index; addresses with the same one belong together
};

// What is known of the machine's own network.
struct Neighbours {
    Vec<InterfaceAddr> addrs;
    Vec<Addr> gateways;
    uint64_t read_at_ms = 0;  // when neighbours_read last ran
    bool fixed = false;       // tests: neighbours_read does nothing
};

// Reads interfaces and default routes from the system; at most once in ten
// seconds, since addresses come and go (Wi-Fi).
void neighbours_read(Neighbours *, uint64_t now_ms);
void neighbours_free(Neighbours *);

// Is this peer at home?
Home neighbours_judge(const Neighbours &, const Addr &peer);

// The web request's part of it. `host` and `origin` are header values (null
// data(): header absent); `allowed_origins` are those of `websockets_origin`.
struct WebRequest {
    Bytes host;
    Bytes origin;
    bool has_host = false;
    bool has_origin = false;
    bool has_forwarding = false; // X-Forwarded-For, Forwarded, X-Real-IP ...
};
Home neighbours_judge_web(const Neighbours &, const Addr &peer, const WebRequest &,
                          const Vec<Bytes> &allowed_origins);

// What neighbours_read understands of /proc/net/route and of
// /proc/net/ipv6_route: appends the gateways of the default routes.
void neighbours_parse_route(Bytes text, Vec<Addr> *gateways);
void neighbours_parse_route6(Bytes text, Vec<Addr> *gateways);
