#include "broker/replay.h"

#include "broker/deliver.h"
#include "broker/send.h"
#include "broker/session.h"

// Nodes that one turn looks at, and the backlog beyond which it waits: the same
// as the one from which on_drained is due.
constexpr uint32_t REPLAY_STEPS = 2000;
constexpr uint32_t REPLAY_BACKLOG = DRAINED_LOW;

static Bytes replay_filter(const Replay *r) { return {r->filter, r->filter_size}; }

static uint64_t hash_of(const Broker *b, Bytes filter) {
    return hash_bytes(b->setup.hash_key, filter);
}

static void forget(Broker *b, Traffic *t, Replay *r) {
    if (r->is_cancelled) return;
    r->is_cancelled = true;
    t->replay_map->by_filter.remove(hash_of(b, replay_filter(r)), replay_filter(r));
    if (t->replay_map->by_filter.size()) return;
    t->replay_map->by_filter.free();
    mem_delete(t->replay_map);
    t->replay_map = nullptr;
}

// Only marked: it is taken off the list when its turn comes.
void replay_cancel(Broker *b, Session *s, Bytes filter) {
    Traffic *t = s->traffic;
    if (!t || !t->replay_map) return;
    if (Replay **r = t->replay_map->by_filter.find(hash_of(b, filter), filter)) forget(b, t, *r);
}

void replay_begin(Broker *b, Session *s, Bytes filter, const SubOptions &o) {
    replay_cancel(b, s, filter);
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
    if (!t->replay_map) t->replay_map = mem_new<ReplayMap>();
    t->replay_map->by_filter.insert(hash_of(b, filter), r);
}

void replay_pause(Broker *b, Session *s) {
    if (!s->traffic) return;
    for (Replay *r = s->traffic->replays; r; r = r->next)
        if (r->away_seq > b->seq) r->away_seq = b->seq; // the first absence counts
}

void replay_resume(Broker *b, Session *s) {
    for (Replay *r = s->traffic->replays; r; r = r->next) r->back_seq = b->seq;
}

static void end_first(Broker *b, Traffic *t) {
    Replay *r = t->replays;
    forget(b, t, r);
    t->replays = r->next;
    retained_cursor_end(b->retained, r->cursor);
    mem_delete(r);
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

static uint8_t qos_for(const Broker *b, const Replay *r, const Message *m) {
    return b->options->upgrade_outgoing_qos || m->qos > r->qos ? r->qos : m->qos;
}

static bool was_delivered(const Broker *b, const Replay *r, const Message *m) {
    if (m->seq <= r->seq) return false;
    bool while_away = m->seq > r->away_seq && m->seq <= r->back_seq;
    return !while_away || qos_for(b, r, m) || b->options->queue_qos0_messages;
}

static bool wanted(Broker *b, const Session *s, const Replay *r, const Message *m) {
    if (was_delivered(b, r, m) || message_expired(m, broker_now(b))) return false;
    return !(r->no_local && m->source && name_text(m->source) == session_id(s));
}

void replay_run(Broker *b, Client *c) {
    Session *s = c->session;
    Traffic *t = s->traffic;
    uint32_t budget = REPLAY_STEPS;
    while (t && t->replays) {
        Replay *r = t->replays;
        if (!has_room(b, c, r->qos)) return;
        if (r->is_cancelled) {
            end_first(b, t);
            continue;
        }
        Message *m = nullptr;
        CursorStep step = retained_cursor_next(b->retained, r->cursor, &budget, &m);
        if (step == CursorStep::Again) return wait_for_turn(b, s);
        if (step == CursorStep::End) {
            end_first(b, t);
            continue;
        }
        if (!wanted(b, s, r, m)) continue;
        Delivery d;
        d.sub_id = r->sub_id;
        d.qos = qos_for(b, r, m);
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
