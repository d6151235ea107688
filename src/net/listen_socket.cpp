#include "net/listen_socket.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/owned.h"

// ---- where to listen -------------------------------------------------------

static bool wants_family(const ListenerOptions &o, int family) {
    switch (o.domain) {
    case SocketDomain::Any: return family == AF_INET || family == AF_INET6;
    case SocketDomain::Ipv4: return family == AF_INET;
    case SocketDomain::Ipv6: return family == AF_INET6;
    }
    return false;
}

static bool is_known(const Places &places, const Place &p) {
    for (int i = 0; i < places.count; i++)
        if (places.at[i].size == p.size && !memcmp(&places.at[i].at, &p.at, p.size)) return true;
    return false;
}

static void add_place(const ListenerOptions &o, Places *places, const sockaddr *sa,
                      socklen_t size) {
    if (places->count == PLACES_MAX || !wants_family(o, sa->sa_family)) return;
    Place p = {};
    memcpy(&p.at, sa, size);
    p.size = size;
    place_set_port(&p, o.port);
    if (!is_known(*places, p)) places->at[places->count++] = p;
}

static void add_literal(const ListenerOptions &o, Places *places, const char *text) {
    Addr a;
    sockaddr_storage at;
    if (!addr_parse_ip(text, &a)) return;
    socklen_t size = addr_to_sockaddr(a, &at);
    add_place(o, places, reinterpret_cast<sockaddr *>(&at), size);
}

static bool add_unix(const ListenerOptions &o, Places *places) {
    Place p = {};
    sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    static_assert(sizeof(un.sun_path) >= sizeof(o.path));
    memcpy(un.sun_path, o.path, sizeof(o.path));
    memcpy(&p.at, &un, sizeof(un));
    p.size = sizeof(un);
    places->at[places->count++] = p;
    return true;
}

// A literal is not looked up: it works without a resolver, and at once.
static int resolve(const char *name, addrinfo **out) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
    if (getaddrinfo(name, nullptr, &hints, out) == 0) return 0;
    hints.ai_flags = AI_PASSIVE;
    return getaddrinfo(name, nullptr, &hints, out);
}

static bool add_name(const ListenerOptions &o, Places *places, char *error, size_t size) {
    addrinfo *found = nullptr;
    int result = resolve(o.address, &found);
    if (result != 0) {
        snprintf(error, size, "%s (looking up %s)", gai_strerror(result), o.address);
        return false;
    }
    for (addrinfo *i = found; i; i = i->ai_next) add_place(o, places, i->ai_addr, i->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static bool has_ip(const Places &places, const sockaddr *sa, socklen_t size) {
    Addr a = addr_from_sockaddr(sa, size);
    for (int i = 0; i < places.count; i++) {
        auto *at = reinterpret_cast<const sockaddr *>(&places.at[i].at);
        if (addr_same_ip(addr_from_sockaddr(at, places.at[i].size), a)) return true;
    }
    return false;
}

// The addresses of the interface; with an address too, only that one of them.
static bool add_interface(const ListenerOptions &o, Places *places, char *error, size_t size) {
    Places named;
    ifaddrs *all = nullptr;
    if (o.address[0] && !add_name(o, &named, error, size)) return false;
    if (getifaddrs(&all) != 0) {
        snprintf(error, size, "%s (looking for interface %s)", strerror(errno), o.interface);
        return false;
    }
    for (const ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || strcmp(i->ifa_name, o.interface) != 0) continue;
        socklen_t n = i->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in)
                                                        : sizeof(sockaddr_in6);
        if (o.address[0] && !has_ip(named, i->ifa_addr, n)) continue;
        add_place(o, places, i->ifa_addr, n);
    }
    freeifaddrs(all);
    return true;
}

static bool add_all(const ListenerOptions &o, Places *places, char *error, size_t size) {
    if (o.path[0]) return add_unix(o, places);
    if (o.loopback_only) {
        add_literal(o, places, "127.0.0.1");
        add_literal(o, places, "::1");
        return true;
    }
    if (o.interface[0]) return add_interface(o, places, error, size);
    if (o.address[0]) return add_name(o, places, error, size);
    add_literal(o, places, "0.0.0.0");
    add_literal(o, places, "::");
    return true;
}

bool places_find(const ListenerOptions &o, Places *places, char *error, size_t error_size) {
    if (!add_all(o, places, error, error_size)) return false;
    if (places->count) return true;
    const char *what = o.interface[0] ? o.interface : o.address;
    snprintf(error, error_size, "No address to listen on (%s)", what);
    return false;
}

void place_set_port(Place *p, uint16_t port) {
    uint16_t wire = htons(port);
    if (p->at.ss_family == AF_INET) reinterpret_cast<sockaddr_in *>(&p->at)->sin_port = wire;
    if (p->at.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6 *>(&p->at)->sin6_port = wire;
}

// ---- one socket ------------------------------------------------------------

static void set_option(int fd, int level, int option) {
    int one = 1;
    setsockopt(fd, level, option, &one, sizeof(one));
}

// Is this the file of a socket that nobody listens on any more?
static bool is_stale(const Place &p) {
    const char *path = reinterpret_cast<const sockaddr_un *>(&p.at)->sun_path;
    struct stat st = {};
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) return false;
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return false;
    auto *sa = reinterpret_cast<const sockaddr *>(&p.at);
    return connect(fd.value, sa, p.size) != 0 && errno == ECONNREFUSED;
}

static int bind_place(int fd, const Place &p) {
    auto *sa = reinterpret_cast<const sockaddr *>(&p.at);
    int result = bind(fd, sa, p.size);
    if (result == 0 || errno != EADDRINUSE || p.at.ss_family != AF_UNIX) return result;
    if (!is_stale(p)) {
        errno = EADDRINUSE;
        return -1;
    }
    listen_socket_remove_file(reinterpret_cast<const sockaddr_un *>(&p.at)->sun_path);
    return bind(fd, sa, p.size);
}

int listen_socket_open(const Place &p) {
    Fd fd(socket(p.at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return -1;
    if (p.at.ss_family != AF_UNIX) set_option(fd.value, SOL_SOCKET, SO_REUSEADDR);
    if (p.at.ss_family == AF_INET6) set_option(fd.value, IPPROTO_IPV6, IPV6_V6ONLY);
    if (bind_place(fd.value, p) == 0 && listen(fd.value, SOMAXCONN) == 0) return fd.release();
    int error = errno; // before the descriptor is closed
    fd.reset();
    errno = error;
    return -1;
}

void listen_socket_close(int fd) { close(fd); }

void listen_socket_remove_file(const char *path) { unlink(path); }
