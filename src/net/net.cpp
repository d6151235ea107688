#include "net/net.h"

#include "base/clock.h"
#include "net/conn.h"
#include "net/limits.h"
#include "net/outbox.h"
#include "net/ws_conn.h"

Net *net_create(const NetEvents &events, void *owner, bool with_reactor) {
    Reactor *reactor = with_reactor ? reactor_create() : nullptr;
    if (with_reactor && !reactor) return nullptr;
    Net *net = mem_new<Net>();
    net->reactor = reactor;
    net->events = events;
    net->owner = owner;
    pool_init(&net->conns, sizeof(Conn));
    pool_init(&net->sockets_ws, sizeof(Ws));
    net->receive = static_cast<char *>(mem_alloc(RECEIVE_BUFFER));
    if (with_reactor) net->now_ms = clock_now_ms();
    wheel_init(&net->wheel, net->now_ms, net_on_timer, net);
    return net;
}

void net_abort_all(Net *net) {
    net->dirty = net->reap = nullptr;
    while (auto *c = static_cast<Conn *>(pool_next(&net->conns, nullptr))) {
        c->state |= CONN_DEAD;
        if (c->state & CONN_OPEN) {
            c->state &= static_cast<uint16_t>(~CONN_OPEN);
            c->user = nullptr;
        }
        conn_destroy(c);
    }
}

void net_free(Net *net) {
    if (!net) return;
    while (net->listeners.size) listener_close(net->listeners[0]);
    net_abort_all(net);
    outbox_pool_trim(net, 0);
    limits_free(net);
    neighbours_free(&net->neighbours);
    pool_end(&net->conns);
    pool_end(&net->sockets_ws);
    vec_free(&net->listeners);
    reactor_free(net->reactor);
    mem_free(net->receive);
    mem_delete(net);
}

// ---- time ------------------------------------------------------------------

void net_on_timer(void *, Timer *t) {
    if (t->kind == TIMER_ENDING) return ending_on_due(reinterpret_cast<Ending *>(t));
    auto *h = reinterpret_cast<WsHandshake *>(t);
    conn_refuse(h->conn, CloseCause::Timeout, "no complete request in time");
}

void net_advance(Net *net, uint64_t now_ms) {
    net->now_ms = now_ms;
    wheel_advance(&net->wheel, now_ms);
    if (net->accepting_paused && now_ms >= net->accept_again_ms) accept_resume(net);
}

uint64_t net_next_ms(const Net *net) {
    if (net->dirty || net->reap) return net->now_ms;
    uint64_t next = wheel_next_ms(&net->wheel);
    if (net->accepting_paused && net->accept_again_ms < next) next = net->accept_again_ms;
    return next;
}

// ---- a turn ----------------------------------------------------------------

static void on_conn_ready(Conn *c, uint8_t ready) {
    if (ready & READY_WRITE && conn_blocked(c)) conn_on_writable(c);
    if (ready & READY_READ) conn_on_readable(c);
}

static void on_ready(void *user, Watch *w, uint8_t ready) {
    auto *net = static_cast<Net *>(user);
    if (!net->clock_fresh) {
        net->now_ms = clock_now_ms();
        net->clock_fresh = true;
    }
    switch (w->kind) {
    case WATCH_CONN: return on_conn_ready(reinterpret_cast<Conn *>(w), ready);
    case WATCH_LISTEN: return accept_on_ready(reinterpret_cast<ListenSocket *>(w));
    case WATCH_CALL: {
        auto *call = reinterpret_cast<CallWatch *>(w);
        return call->on_ready(call->user, ready);
    }
    }
}

void net_turn(Net *net, uint64_t until_ms) {
    uint64_t now = clock_now_ms(), next = net_next_ms(net);
    if (until_ms < next) next = until_ms;
    int64_t timeout = next == UINT64_MAX ? -1 : next > now ? static_cast<int64_t>(next - now) : 0;
    net->clock_fresh = false;
    reactor_wait(net->reactor, timeout, on_ready, net);
    net_advance(net, clock_now_ms());
}

// Flushes one and sees to its end. One whose on_drained is due goes to `later`
// if there is such a list: once in a turn is enough, or a fast reader would
// keep everybody else waiting.
static void settle(Net *net, Conn *c, Conn **later) {
    conn_write(c);
    if (c->state & CONN_DEAD) return;
    if (c->state & CONN_CLOSING) return conn_go_on_ending(c);
    if (!(c->state & CONN_OVER_HIGH) || c->backlog > DRAINED_LOW) return;
    if (later) {
        c->state |= CONN_DIRTY;
        c->next = *later;
        *later = c;
        return;
    }
    c->state &= static_cast<uint16_t>(~CONN_OVER_HIGH);
    if (net->events.on_drained && c->state & CONN_OPEN) net->events.on_drained(c);
}

static void settle_all(Net *net, Conn **later) {
    Conn *c = net->dirty;
    net->dirty = nullptr;
    while (c) {
        Conn *next = c->next;
        c->state &= static_cast<uint16_t>(~CONN_DIRTY);
        if (c->state & CONN_DEAD) {
            c->next = net->reap;
            net->reap = c;
        } else {
            if (c->state & CONN_CLOSING) conn_tell_closed(c);
            settle(net, c, later);
        }
        c = next;
    }
}

static void reap_all(Net *net) {
    while (Conn *c = net->reap) {
        net->reap = c->next;
        conn_destroy(c);
    }
}

// Telling of one end may give others output (a will), which is flushed too.
void net_end_turn(Net *net) {
    Conn *later = nullptr;
    bool is_first = true;
    if (!net->dirty) outbox_pool_trim(net, CHUNKS_POOLED_IDLE);
    do {
        settle_all(net, is_first ? nullptr : &later);
        reap_all(net);
        is_first = false;
    } while (net->dirty || net->reap);
    net->dirty = later;
}

// ---- descriptors of others -------------------------------------------------

bool net_watch(Net *net, CallWatch *w, int fd, uint8_t interest) {
    w->watch.fd = fd;
    w->watch.kind = WATCH_CALL;
    return reactor_add(net->reactor, &w->watch, interest);
}

void net_unwatch(Net *net, CallWatch *w) { reactor_remove(net->reactor, &w->watch); }
