#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/limits.h"

static ssize_t socket_read(Conn *c, void *out, size_t n) { return recv(c->watch.fd, out, n, 0); }

// sendmsg and not writev: no SIGPIPE.
static ssize_t socket_writev(Conn *c, const iovec *iov, int n) {
    msghdr m = {};
    m.msg_iov = const_cast<iovec *>(iov);
    m.msg_iovlen = static_cast<decltype(m.msg_iovlen)>(n);
    return sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
}

static void socket_interest(Conn *c, uint8_t interest) {
    if (c->watch.flags & ON_REACTOR) reactor_change(conn_net(c)->reactor, &c->watch, interest);
    else if (reactor_add(conn_net(c)->reactor, &c->watch, interest)) c->watch.flags |= ON_REACTOR;
    if (c->watch.interest != interest) conn_die(c, CloseCause::Error); // the kernel refused
}

static void socket_shutdown(Conn *c) { shutdown(c->watch.fd, SHUT_WR); }

static void socket_close(Conn *c) {
    if (c->watch.flags & ON_REACTOR) reactor_remove(conn_net(c)->reactor, &c->watch);
    close(c->watch.fd);
    c->watch.fd = -1;
}

static size_t socket_pending(Conn *c) {
    int n = 0;
    return ioctl(c->watch.fd, FIONREAD, &n) == 0 && n > 0 ? static_cast<size_t>(n) : 0;
}

const ConnOps SOCKET_OPS = {
    .read = socket_read,
    .writev = socket_writev,
    .interest = socket_interest,
    .shutdown = socket_shutdown,
    .close = socket_close,
    .pending = socket_pending,
};
