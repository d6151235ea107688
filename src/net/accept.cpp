#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/log.h"
#include "net/conn.h"

// Connections taken from one socket in a turn, so that those who are connected
// get their turn during a storm.
constexpr int ACCEPT_BATCH = 64;
constexpr uint64_t ACCEPT_AGAIN_MS = 1000;

static void set_interest(Net *net, uint8_t interest) {
    for (Listener *l : net->listeners)
        for (int i = 0; i < l->sockets_count; i++)
            if (l->sockets[i].started)
                reactor_change(net->reactor, &l->sockets[i].watch, interest);
}

void accept_pause(Net *net) {
    net->accept_again_ms = net->now_ms + ACCEPT_AGAIN_MS;
    if (net->accepting_paused) return;
    net->accepting_paused = true;
    set_interest(net, 0);
}

void accept_resume(Net *net) {
    net->accepting_paused = false;
    set_interest(net, READY_READ);
}

static bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void take_in(Listener *l, int fd, const sockaddr_storage &from, socklen_t size) {
    Addr peer = addr_from_sockaddr(reinterpret_cast<const sockaddr *>(&from), size);
    int one = 1;
    if (l->net->options.nodelay && peer.family != AddrFamily::Unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    conn_create(l->net, l, &SOCKET_OPS, fd, peer);
}

// Out of descriptors: the kernel keeps those who wait, and we do not spin. A
// shortage that lasts is told every ten seconds only.
static void on_shortage(Net *net, int error) {
    bool is_news = !net->accept_again_ms || net->now_ms > net->shortage_told_ms + 10000;
    if (is_news) {
        net->shortage_told_ms = net->now_ms;
        log_warning("Warning: Unable to accept connections: %s. Trying again soon.",
                    strerror(error));
    }
    accept_pause(net);
}

void accept_on_ready(ListenSocket *s) {
    Listener *l = s->listener;
    for (int i = 0; i < ACCEPT_BATCH && !l->closed; i++) {
        sockaddr_storage from = {};
        socklen_t size = sizeof(from);
        int fd = accept4(s->watch.fd, reinterpret_cast<sockaddr *>(&from), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) take_in(l, fd, from, size);
        else if (is_shortage(errno)) return on_shortage(l->net, errno);
        else if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    }
}
