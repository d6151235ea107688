#include "broker/replay.h"

#include "broker/deliver.h"
#include "broker/send.h"
#include "broker/session.h"

// Nodes that one turn looks at, and the backlog beyond which it waits: the same
// as the one from which on_drained is due.
constexpr uint32_t REPLAY_STEPS = 2000;
constexpr uint32_t REPLAY_BACKLOG = DRAINED_LOW;

static Bytes replay_filter(const Replay *r) { return {r->filter, r->filter_size}; }

void replay_begin(Broker *b, Session *s, Bytes filter, const SubOptions &o) {
    RetainedCursor *cursor = retained_cursor_begin(b->retained, filter);
    if (!cursor) return;
    auto *r = new (mem_alloc(sizeof(Replay) + filter.size())) Replay;
    r->cursor = cursor;
    r->seq = b->seq;
    r->sub_id = o.id;
    r->qos = o.qos;
    r->no_local = o.no_local;
    r->filter_size = static_cast<uint16_t>(filter.size());
    memcpy(r->filter, filter.data(), filter.size());
    Traffic *t = session_traffic(s);
    (t->replays ? t->last_replay->next : t->replays) = r;
    t->last_replay = r;
}

void replay_resume(Broker *b, Session *s) {
    for (Replay *r = s->traffic->replays; r; r = r->next) r->seq = b->seq;
}

static void end_first(Broker *b, Traffic *t) {
    Replay *r = t->replays;
    t->replays = r->next;
    retained_cursor_end(b->retained, r->cursor);
    mem_delete(r);
}

// Is the client still subscribed to what the first replay is for?
static bool still_subscribed(Broker *b, Session *s) {
    SharedFilter f = {Bytes(), replay_filter(s->traffic->replays)};
    return router_find(b->router, &s->subscriber, f) != nullptr;
}

// Is there room for one more? QoS 1 and 2 need the window, and let what was
// queued live go first.
static bool has_room(Broker *b, Client *c, uint8_t qos) {
    if (conn_closing(c->conn) || c->conn->backlog > REPLAY_BACKLOG) return false;
    if (!qos) return true;
    Traffic *t = c->session->traffic;
    return !t->queue.size && deliver_window_open(b, c->session);
}

static void wait_for_turn(Broker *b, Session *s) {
    Traffic *t = s->traffic;
    if (t->is_replaying) return;
    t->is_replaying = true;
    t->next_replay = b->replays;
    b->replays = s;
}

static bool wanted(Broker *b, const Session *s, const Replay *r, const Message *m) {
    if (m->seq > r->seq || message_expired(m, broker_now(b))) return false;
    return !(r->no_local && m->source && name_text(m->source) == session_id(s));
}

void replay_run(Broker *b, Client *c) {
    Session *s = c->session;
    Traffic *t = s->traffic;
    uint32_t budget = REPLAY_STEPS;
    const Replay *checked = nullptr;
    while (t && t->replays) {
        Replay *r = t->replays;
        if (!has_room(b, c, r->qos)) return;
        if (r != checked && !still_subscribed(b, s)) {
            end_first(b, t);
            if (!--budget) return wait_for_turn(b, s);
            continue;
        }
        checked = r;
        Message *m = nullptr;
        CursorStep step = retained_cursor_next(b->retained, r->cursor, &budget, &m);
        if (step == CursorStep::Again) return wait_for_turn(b, s);
        if (step == CursorStep::End) {
            end_first(b, t);
            checked = nullptr;
            continue;
        }
        if (!wanted(b, s, r, m)) continue;
        Delivery d;
        d.sub_id = r->sub_id;
        d.qos = b->options->upgrade_outgoing_qos || m->qos > r->qos ? r->qos : m->qos;
        d.retain = true;
        deliver(b, s, m, d);
        t = s->traffic;
    }
    session_tidy(s);
}

void replay_continue(Broker *b) {
    Session *s = b->replays;
    b->replays = nullptr;
    while (s) {
        Traffic *t = s->traffic;
        Session *next = t->next_replay;
        t->is_replaying = false;
        t->next_replay = nullptr;
        if (Client *c = session_client(s)) replay_run(b, c);
        else session_tidy(s);
        s = next;
    }
}

void replay_end_all(Broker *b, Session *s) {
    Traffic *t = s->traffic;
    if (!t) return;
    while (t->replays) end_first(b, t);
    if (t->is_replaying) {
        Session **at = &b->replays;
        while (*at != s) at = &(*at)->traffic->next_replay;
        *at = t->next_replay;
        t->is_replaying = false;
    }
}
