#include <errno.h>

#include "net/conn.h"
#include "net/outbox.h"
#include "net/ws_conn.h"

constexpr int WRITE_PIECES = 64; // of one gathered write; 1 KiB of stack

bool conn_has_output(const Conn *c) {
    return c->backlog || (c->ws && ws_has_output(c->ws));
}

// Output is lost, but a peer that has gone may have said goodbye before: what
// it sent is read first, and then its end is found.
static void on_write_failed(Conn *c) {
    if (c->state & CONN_CLOSING || !c->listener->ops->pending(c)) return conn_die(c, CloseCause::Error);
    outbox_clear(c);
    if (c->ws) c->ws->frame_left = 0;
    c->state |= CONN_BROKEN;
}

static void on_refused(Conn *c) {
    bool is_full = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS;
    if (is_full) c->state |= CONN_BLOCKED;
    else on_write_failed(c);
}

static size_t total_of(const iovec *iov, int n) {
    size_t total = 0;
    for (int i = 0; i < n; i++) total += iov[i].iov_len;
    return total;
}

// One gathered write. A short one means that the kernel's buffer is full.
static void write_once(Conn *c) {
    iovec iov[WRITE_PIECES];
    WsPrefix prefix;
    uint32_t limit = c->backlog;
    int n = 0;
    if (c->ws) {
        ws_prefix(c, &prefix);
        limit = prefix.frame;
        if (prefix.size) iov[n++] = {const_cast<char *>(prefix.bytes), prefix.size};
    }
    n += outbox_gather(c, iov + n, WRITE_PIECES - n, limit);
    ssize_t result = c->listener->ops->writev(c, iov, n);
    if (result < 0) return on_refused(c);

    auto written = static_cast<uint32_t>(result);
    if (written < total_of(iov, n)) c->state |= CONN_BLOCKED;
    if (!written) return;
    conn_net(c)->bytes_out += written;
    outbox_consume(c, c->ws ? ws_written(c, &prefix, written) : written);
}

void conn_write(Conn *c) {
    while (!(c->state & (CONN_BLOCKED | CONN_DEAD | CONN_BROKEN)) && conn_has_output(c))
        write_once(c);
    if (!c->backlog && c->out) outbox_clear(c); // reserved, but nothing committed
    if (!(c->state & CONN_DEAD)) conn_update_interest(c);
}
