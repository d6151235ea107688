#include "net/conn.h"
#include "net/limits.h"
#include "net/outbox.h"
#include "net/ws_conn.h"

const char *close_cause_text(CloseCause cause) {
    switch (cause) {
    case CloseCause::PeerClosed: return "connection closed by client";
    case CloseCause::Error: return "bad socket read/write";
    case CloseCause::BadWebSocket: return "protocol error";
    case CloseCause::BadRequest: return "bad HTTP request";
    case CloseCause::Timeout: return "exceeded timeout";
    case CloseCause::NoMemory: return "out of memory";
    }
    return "";
}

void conn_mark_dirty(Conn *c) {
    if (c->state & (CONN_DIRTY | CONN_DEAD)) return;
    c->state |= CONN_DIRTY;
    c->next = conn_net(c)->dirty;
    conn_net(c)->dirty = c;
}

// One that is on the dirty list already is taken from there to be reaped.
void conn_die(Conn *c, CloseCause cause) {
    if (c->state & CONN_DEAD) return;
    if (!(c->state & CONN_CLOSING)) c->cause = cause;
    c->state |= CONN_DEAD;
    if (c->state & CONN_DIRTY) return;
    c->next = conn_net(c)->reap;
    conn_net(c)->reap = c;
}

// ---- beginning to end ------------------------------------------------------

// From here on input is read and dropped, and only what waits goes out.
static void begin_closing(Conn *c, uint16_t ws_code) {
    c->state |= CONN_CLOSING;
    c->state &= static_cast<uint16_t>(~(CONN_PAUSED | CONN_OVER_HIGH));
    limits_leave(c);
    if (c->ws) ws_queue_close(c, ws_code);
    conn_update_interest(c);
    conn_mark_dirty(c);
}

void conn_end(Conn *c, CloseCause cause, uint16_t ws_code) {
    if (conn_closing(c)) return;
    c->cause = cause;
    begin_closing(c, ws_code);
}

void conn_refuse(Conn *c, CloseCause cause, const char *why) {
    if (why) {
        conn_net(c)->refused++;
        if (conn_net(c)->events.on_refused) conn_net(c)->events.on_refused(c, cause, why);
    }
    if (cause == CloseCause::BadRequest) conn_end(c, cause, 0);
    else conn_die(c, cause);
}

static void let_go(Conn *c) {
    c->state &= static_cast<uint16_t>(~CONN_OPEN);
    c->user = nullptr;
}

// After the owner has let go, Conn::user is ours: see Ending. A second call
// must not touch it.
void conn_close(Conn *c, WsClose code) {
    if (!(c->state & CONN_OPEN)) return;
    let_go(c);
    if (c->state & CONN_BROKEN) return conn_die(c, CloseCause::Error);
    if (!conn_closing(c)) begin_closing(c, static_cast<uint16_t>(code));
}

void conn_abort(Conn *c) {
    if (c->state & CONN_OPEN) let_go(c);
    conn_die(c, CloseCause::Error);
}

void conn_tell_closed(Conn *c) {
    if (!(c->state & CONN_OPEN)) return;
    c->state &= static_cast<uint16_t>(~CONN_OPEN);
    conn_net(c)->events.on_closed(c, c->cause);
    c->user = nullptr;
}

// ---- ending over several turns ---------------------------------------------

// (Re)starts the time that the end may take. Too many at once: no time.
static void allow_time(Conn *c, uint32_t ms) {
    auto *e = static_cast<Ending *>(c->user);
    if (!e) {
        if (conn_net(c)->ending >= ENDING_MAX) return conn_die(c, CloseCause::Error);
        conn_net(c)->ending++;
        c->user = e = mem_new<Ending>();
        e->timer.kind = TIMER_ENDING;
        e->conn = c;
    } else if (timer_running(&e->timer) && !(c->state & CONN_LINGER)) {
        return;
    }
    wheel_start(&conn_net(c)->wheel, &e->timer, conn_net(c)->now_ms + ms);
}

void ending_on_due(Ending *e) { conn_die(e->conn, CloseCause::Timeout); }

void conn_go_on_ending(Conn *c) {
    if (c->state & CONN_LINGER) return;
    if (conn_has_output(c)) return allow_time(c, FLUSH_AT_END_MS);
    if (c->state & CONN_PAUSED) return conn_die(c, CloseCause::PeerClosed); // its end was read
    c->listener->ops->shutdown(c);
    c->state |= CONN_LINGER;
    allow_time(c, LINGER_MS); // WS-70
}

// ---- the end ---------------------------------------------------------------

static void free_ending(Conn *c) {
    auto *e = static_cast<Ending *>(c->user);
    if (!(c->state & CONN_CLOSING) || !e) return;
    wheel_stop(&conn_net(c)->wheel, &e->timer);
    mem_free(e);
    conn_net(c)->ending--;
}

void conn_destroy(Conn *c) {
    Net *net = conn_net(c);
    Listener *l = c->listener;
    conn_tell_closed(c);
    limits_leave(c);
    l->ops->close(c);
    outbox_clear(c);
    free_ending(c);
    ws_free(c);
    pool_free(c);
    net->connections--;
    l->refs--;
    if (l->closed && !l->refs) listener_free(l);
    if (net->accepting_paused) accept_resume(net);
}
