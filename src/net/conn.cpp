#include "net/conn.h"

#include <errno.h>

#include "net/limits.h"
#include "net/outbox.h"
#include "net/upgrade.h"
#include "net/ws_conn.h"

// ---- the beginning ---------------------------------------------------------

static Conn *make(Net *net, Listener *l, const ConnOps *ops, int fd, const Addr &peer) {
    Conn *c = pool_new<Conn>(&net->conns);
    c->watch.fd = fd;
    c->watch.kind = WATCH_CONN;
    l->ops = ops;
    c->listener = l;
    c->peer = peer;
    net->connections++;
    l->refs++;
    if (peer.family != AddrFamily::Unix && !addr_is_loopback(peer))
        neighbours_read(&net->neighbours, net->now_ms);
    c->home = neighbours_judge(net->neighbours, peer);
    return c;
}

// A word to those who speak HTTP, if it can be had for one call.
static void say_busy(Conn *c) {
    char text[UPGRADE_ANSWER_MAX];
    size_t n = upgrade_answer(nullptr, 503, text);
    iovec iov = {text, n};
    c->listener->ops->writev(c, &iov, 1);
    c->listener->ops->shutdown(c);
}

static Conn *turn_away(Conn *c, CloseCause cause, const char *why) {
    Net *net = conn_net(c);
    net->refused++;
    if (net->events.on_refused) net->events.on_refused(c, cause, why);
    if (c->listener->options.protocol == Protocol::WebSockets) say_busy(c);
    c->state |= CONN_DEAD;
    conn_destroy(c);
    return nullptr;
}

Conn *conn_create(Net *net, Listener *l, const ConnOps *ops, int fd, const Addr &peer) {
    Conn *c = make(net, l, ops, fd, peer);
    if (const char *why = limits_admit(c)) return turn_away(c, CloseCause::BadRequest, why);
    conn_update_interest(c);
    if (c->state & CONN_DEAD) { // the reactor takes no more
        Conn **at = &net->reap;
        while (*at != c) at = &(*at)->next;
        *at = c->next;
        return turn_away(c, CloseCause::Error, "no room in the reactor");
    }
    net->accepted++;
    l->accepted++;
    if (l->options.protocol == Protocol::WebSockets) {
        ws_create(c);
        return c;
    }
    c->state |= CONN_OPEN;
    net->events.on_open(c);
    return c;
}

// ---- input -----------------------------------------------------------------

static void take_input(Conn *c, size_t n) {
    Net *net = conn_net(c);
    net->bytes_in += n;
    if (c->state & CONN_CLOSING) return; // read and dropped
    if (c->ws) ws_on_input(c, net->receive, n);
    else net->events.on_data(c, Bytes(net->receive, n));
}

static void input_ended(Conn *c, CloseCause cause) {
    if (c->state & CONN_BROKEN) cause = CloseCause::Error;
    // The peer may have ended only its half and still be reading.
    bool goes_on = c->state & CONN_CLOSING && cause == CloseCause::PeerClosed &&
                   !(c->state & CONN_LINGER) && conn_has_output(c);
    if (goes_on) {
        c->state |= CONN_PAUSED;
        return conn_update_interest(c);
    }
    if (c->ws && c->ws->handshake) return conn_refuse(c, cause, "ended before its request");
    conn_die(c, cause);
}

void conn_on_readable(Conn *c) {
    if (c->state & (CONN_DEAD | CONN_PAUSED)) return;
    ssize_t n = c->listener->ops->read(c, conn_net(c)->receive, RECEIVE_BUFFER);
    if (n > 0) return take_input(c, static_cast<size_t>(n));
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    input_ended(c, n == 0 ? CloseCause::PeerClosed : CloseCause::Error);
}

void conn_on_writable(Conn *c) {
    if (c->state & CONN_DEAD) return;
    c->state &= static_cast<uint16_t>(~CONN_BLOCKED);
    conn_mark_dirty(c);
}

void conn_update_interest(Conn *c) {
    bool reads = !(c->state & CONN_PAUSED), writes = c->state & CONN_BLOCKED;
    auto want = static_cast<uint8_t>((reads ? READY_READ : 0) | (writes ? READY_WRITE : 0));
    if (want == c->watch.interest) return;
    c->listener->ops->interest(c, want);
    c->watch.interest = want; // the reactor has set it too; memory has not
}

void conn_pause(Conn *c) {
    if (conn_closing(c)) return;
    c->state |= CONN_PAUSED;
    conn_update_interest(c);
}

void conn_resume(Conn *c) {
    if (conn_closing(c)) return;
    c->state &= static_cast<uint16_t>(~CONN_PAUSED);
    conn_update_interest(c);
}

size_t conn_pending(Conn *c) { return c->listener->ops->pending(c); }

// ---- output ----------------------------------------------------------------

static bool takes_output(const Conn *c) {
    return !(c->state & (CONN_CLOSING | CONN_DEAD | CONN_BROKEN));
}

// The backlog is counted in 32 bits, a WebSocket frame's header included.
static bool would_overflow(const Conn *c, size_t n) {
    return n > UINT32_MAX - 64 - c->backlog;
}

// After something was appended.
static void appended(Conn *c) {
    if (c->backlog > DRAINED_LOW) c->state |= CONN_OVER_HIGH;
    if (conn_blocked(c)) return;
    conn_mark_dirty(c);
    if (c->backlog >= OUTBOX_WRITE_AT) conn_write(c);
}

void conn_send(Conn *c, Bytes v) {
    if (!takes_output(c)) return;
    if (would_overflow(c, v.size()) || !outbox_append(c, v))
        return conn_die(c, CloseCause::NoMemory);
    appended(c);
}

char *conn_reserve(Conn *c, uint32_t n) {
    if (!takes_output(c)) return nullptr;
    char *room = outbox_room(c, n);
    if (!room) conn_die(c, CloseCause::NoMemory);
    return room;
}

void conn_commit(Conn *c, uint32_t n) {
    if (!takes_output(c)) return;
    outbox_commit(c, n);
    appended(c);
}

void conn_send_blob(Conn *c, Blob *blob, Bytes part) {
    if (!takes_output(c) || part.empty()) return;
    if (would_overflow(c, part.size()) || !outbox_append_blob(c, blob, part))
        return conn_die(c, CloseCause::NoMemory);
    appended(c);
}

void conn_flush(Conn *c) {
    if (c->state & CONN_DIRTY) conn_write(c);
}
