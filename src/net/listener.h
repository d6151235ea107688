// net/listener.h -- where connections come from.
#pragma once

#include "base/bytes.h"
#include "base/vec.h"
#include "net/reactor.h"

struct Net;
struct ConnOps;
struct Listener;

enum class Protocol : uint8_t { Mqtt, WebSockets };
enum class SocketDomain : uint8_t { Any, Ipv4, Ipv6 };

struct ListenerOptions {
    uint16_t port = 1883;             // 0 with a `path`
    char address[256] = "";           // host name or IP literal; empty: all
    char path[108] = "";              // Unix socket; empty: none
    char interface[16] = "";          // bind_interface; empty: none
    Protocol protocol = Protocol::Mqtt;
    SocketDomain domain = SocketDomain::Any;
    bool loopback_only = false;       // local only mode: 127.0.0.1 and ::1
    int64_t max_connections = -1;     // -1: no limit
    Vec<Bytes> websockets_origins;    // empty: any; the listener has copies of its own
};

// One socket of a listener: all addresses means one for IPv4 and one for IPv6.
struct ListenSocket {
    Watch watch;                  // first
    Listener *listener = nullptr;
    bool started = false;         // it is on the reactor
};

struct Listener {
    ListenerOptions options;
    Net *net = nullptr;
    const ConnOps *ops = nullptr; // what its connections run over
    void *user = nullptr;         // the owner's: its policy for this listener
    ListenSocket sockets[8];
    uint8_t sockets_count = 0;
    bool closed = false;          // accepts no more; freed with its last Conn
    uint32_t connections = 0;     // those that nobody has closed yet
    uint32_t refs = 0;            // Conns that point here
    uint64_t accepted = 0;        // in all, for the metrics
};

// Resolves, binds and listens, but does not accept yet. Null with a text in
// `error` ("Address already in use" with what and where). The options are
// copied, the origins too. Port 0 without a path takes any free port (tests).
Listener *listener_open(Net *, const ListenerOptions &, char *error, size_t error_size);
// The port it is bound to; 0 for a Unix socket.
uint16_t listener_port(const Listener *);
// Begins to accept. False with a text when the reactor refuses.
[[nodiscard]] bool listener_start(Listener *, char *error, size_t error_size);
// A listener without sockets, for tests.
Listener *listener_fake(Net *, const ListenerOptions &);

// Takes over what can change while it is open: max_connections, origins.
void listener_change(Listener *, const ListenerOptions &);

// Stops accepting and closes the sockets (removes a Unix socket's file). It is
// freed once its last Conn is; the owner closes those.
void listener_close(Listener *);
// Private to net/: nothing refers to it any more.
void listener_free(Listener *);

// "1883", "127.0.0.1:1883", "/run/knut.sock": for logs and for matching at a
// reload: two options with the same place are the same listener.
bool listener_same_place(const ListenerOptions &, const ListenerOptions &);
