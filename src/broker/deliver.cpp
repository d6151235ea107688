// broker/deliver.cpp -- send window, queue, acknowledgements.
#include "broker/deliver.h"

#include "base/log.h"
#include "broker/client.h"
#include "broker/replay.h"
#include "broker/send.h"
#include "broker/session.h"

constexpr uint32_t PACKET_IDS = 65535; // 1 to 65535

// ---- the window ------------------------------------------------------------

// Does the outbox take more of what can wait? on_drained tells when it does again.
static bool outbox_open(const Client *c) {
    if (conn_closing(c->conn)) return false;
    return !conn_blocked(c->conn) || c->conn->backlog < OUTBOX_WRITE_AT;
}

// May one more PUBLISH of QoS 1 or 2 leave, apart from what is queued before it?
static bool quota_open(const Broker *b, const Client *c, const Traffic *t) {
    if (!outbox_open(c)) return false;
    if (!t) return true;
    uint64_t bytes = b->options->max_inflight_bytes;
    if (bytes && t->inflight_open && t->inflight_bytes >= bytes) return false;
    return t->inflight_open < c->send_quota && t->inflight.size < PACKET_IDS && !t->stale;
}

bool deliver_window_open(Broker *b, const Session *s) {
    const Client *c = session_client(s);
    return c && quota_open(b, c, s->traffic) && !(s->traffic && s->traffic->queue.size);
}

// ---- entries ---------------------------------------------------------------

static Entry entry_make(Traffic *t, Message *m, const Delivery &d) {
    Entry e;
    e.message = message_hold(m);
    e.qos = d.qos & 3u;
    e.retain = d.retain;
    e.is_shared = d.group != nullptr;
    e.sub_id = (d.group ? share_slot(t, d.group, d.sub_id) : d.sub_id) & 0xfffffffu;
    return e;
}

void entry_drop(Broker *b, Entry *e) {
    if (e->message) message_release(e->message, &b->messages);
    e->message = nullptr;
}

static Sending sending_of(const Traffic *t, const Entry &e) {
    Sending s;
    s.sub_id = entry_sub_id(t, e);
    s.id = e.id;
    s.qos = e.qos;
    s.retain = e.retain;
    s.dup = e.is_stale;
    return s;
}

static void log_dropping(Broker *b, Session *s, Traffic *t) {
    b->stats.publish_dropped++;
    if (t && t->dropped++ == 0)
        log_notice("Outgoing messages are being dropped for client %.*s.",
                   LOG_BYTES(session_id(s)));
}

// ---- sending and queueing --------------------------------------------------

static void send_qos0(Broker *b, Session *s, Client *c, Message *m, const Delivery &d) {
    uint32_t limit = policy_of(c)->max_outbox_bytes;
    if (!limit) limit = (1u << 20) + b->options->max_packet_size;
    if (conn_blocked(c->conn) && c->conn->backlog + m->payload_size > limit)
        return log_dropping(b, s, session_traffic(s));
    Sending how;
    how.sub_id = d.sub_id;
    how.retain = d.retain;
    (void)send_publish(b, c, m, how);
}

// Sends `e` as a new message in flight. Takes over its reference.
static void start(Broker *b, Session *s, Client *c, Traffic *t, Entry e) {
    e.id = s->next_id;
    if (!send_publish(b, c, e.message, sending_of(t, e))) return entry_drop(b, &e);
    s->next_id = static_cast<uint16_t>(s->next_id % PACKET_IDS + 1);
    e.stage = Stage::Sent;
    t->inflight_open++;
    t->inflight_bytes += e.message->payload_size;
    ring_push(&t->inflight, e);
}

// Counts a message into the session's queue, and out of it.
static void count_queued(Broker *b, Traffic *t, const Message *m) {
    t->queued_bytes += m->payload_size;
    b->stats.queued_bytes += m->payload_size;
    b->stats.queued++;
}
static void uncount_queued(Broker *b, Traffic *t, const Message *m) {
    t->queued_bytes -= m->payload_size;
    b->stats.queued_bytes -= m->payload_size;
    b->stats.queued--;
}

static bool queue_full(const Broker *b, const Traffic *t, const Message *m) {
    const BrokerOptions *o = b->options;
    if (o->max_queued_messages && t->queue.size >= o->max_queued_messages) return true;
    return o->max_queued_bytes && t->queued_bytes + m->payload_size > o->max_queued_bytes;
}

static void enqueue(Broker *b, Session *s, Message *m, const Delivery &d) {
    if (message_expired(m, broker_now(b))) {
        b->stats.expired_messages++;
        return;
    }
    Traffic *t = session_traffic(s);
    if (queue_full(b, t, m)) {
        log_dropping(b, s, t);
        return session_tidy(s);
    }
    count_queued(b, t, m);
    ring_push(&t->queue, entry_make(t, m, d));
}

void deliver(Broker *b, Session *s, Message *m, const Delivery &d) {
    Client *c = session_client(s);
    if (d.qos == 0) {
        if (c) return send_qos0(b, s, c, m, d);
        if (b->options->queue_qos0_messages) enqueue(b, s, m, d);
        return;
    }
    if (!deliver_window_open(b, s)) return enqueue(b, s, m, d);
    Traffic *t = session_traffic(s);
    start(b, s, c, t, entry_make(t, m, d));
    session_tidy(s); // too large for this client: nothing is under way
}

// ---- going on --------------------------------------------------------------

static void send_pubrel(Client *c, uint16_t id) {
    char buffer[ENCODE_MAX];
    Writer w{buffer, buffer + sizeof buffer};
    ack_encode(&w, PacketType::Pubrel, c->version, id, Reason::Success, Bytes());
    log_debug("Sending PUBREL to %.*s (m%u)", LOG_BYTES(client_id(c)), id);
    client_send(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
}

// Lets go of what is over at the front of the window.
static void pop_done(Traffic *t) {
    while (t->inflight.size && ring_at(&t->inflight, 0)->stage == Stage::Done)
        ring_pop(&t->inflight);
}

static void let_message_go(Broker *b, Traffic *t, Entry *e) {
    if (e->message) t->inflight_bytes -= e->message->payload_size;
    entry_drop(b, e);
}

static void entry_done(Broker *b, Traffic *t, Entry *e) {
    let_message_go(b, t, e);
    if (e->is_stale) t->stale--;
    else t->inflight_open--;
    e->is_stale = false;
    e->stage = Stage::Done;
}

static void resend(Broker *b, Client *c, Traffic *t, Entry *e) {
    bool fits = send_publish(b, c, e->message, sending_of(t, *e));
    e->is_stale = false;
    t->stale--;
    t->inflight_open++;
    if (!fits) entry_done(b, t, e); // N5-33
}

// Sends again what an earlier connection left unacknowledged, as far as the
// new connection's quota and the outbox allow, in the old order.
static void resend_stale(Broker *b, Client *c, Traffic *t) {
    for (uint32_t i = 0; t->stale && i < t->inflight.size; i++) {
        Entry *e = ring_at(&t->inflight, i);
        if (!e->is_stale) continue;
        if (t->inflight_open >= c->send_quota || !outbox_open(c)) return;
        resend(b, c, t, e);
    }
    pop_done(t);
}

static void send_queued(Broker *b, Session *s, Client *c, Traffic *t) {
    while (t->queue.size && quota_open(b, c, t)) {
        Entry e = *ring_at(&t->queue, 0);
        ring_pop(&t->queue);
        uncount_queued(b, t, e.message);
        if (message_expired(e.message, broker_now(b))) {
            b->stats.expired_messages++;
            entry_drop(b, &e);
        } else if (e.qos == 0) {
            (void)send_publish(b, c, e.message, sending_of(t, e));
            entry_drop(b, &e);
        } else {
            start(b, s, c, t, e);
        }
    }
    if (!t->queue.size) t->dropped = 0;
}

void deliver_more(Broker *b, Client *c) {
    Session *s = c->session;
    Traffic *t = s->traffic;
    if (!t) return;
    if (t->stale) resend_stale(b, c, t);
    send_queued(b, s, c, t);
    if (t->replays) replay_run(b, c);
    else session_tidy(s);
}

// A new connection: what was sent is stale, and PUBRELs are outstanding anew.
static void recount(Traffic *t) {
    t->inflight_open = t->stale = 0;
    for (uint32_t i = 0; i < t->inflight.size; i++) {
        Entry *e = ring_at(&t->inflight, i);
        e->is_stale = e->stage == Stage::Sent;
        if (e->is_stale) t->stale++;
        if (e->stage == Stage::Released) t->inflight_open++;
    }
}

void deliver_resume(Broker *b, Client *c) {
    Traffic *t = c->session->traffic;
    if (!t) return;
    replay_resume(b, c->session);
    recount(t);
    // PUBLISH and PUBREL in the order first sent [MQTT-4.4.0-1, N5-74]; a full
    // window holds back PUBLISH only, until deliver_more.
    bool open = true;
    for (uint32_t i = 0; i < t->inflight.size; i++) {
        Entry *e = ring_at(&t->inflight, i);
        if (e->stage == Stage::Released) send_pubrel(c, e->id);
        if (e->stage != Stage::Sent) continue;
        open = open && t->inflight_open < c->send_quota && outbox_open(c);
        if (open) resend(b, c, t, e);
    }
    pop_done(t);
    deliver_more(b, c);
}

// ---- acknowledgements ------------------------------------------------------

// Ids in the window are consecutive, so the place follows from the id.
static Entry *find_inflight(Traffic *t, uint16_t id) {
    if (!t || !t->inflight.size || !id) return nullptr;
    uint32_t first = ring_at(&t->inflight, 0)->id;
    uint32_t i = id >= first ? id - first : id + PACKET_IDS - first;
    if (i >= t->inflight.size) return nullptr;
    Entry *e = ring_at(&t->inflight, i);
    return e->stage == Stage::Done ? nullptr : e;
}

static void release(Broker *b, Traffic *t, Entry *e) {
    let_message_go(b, t, e);
    if (e->is_stale) {
        e->is_stale = false;
        t->stale--;
        t->inflight_open++;
    }
    e->stage = Stage::Released;
}

bool deliver_acked(Broker *b, Client *c, PacketType type, uint16_t id, Reason reason,
                   bool *wrong) {
    Traffic *t = c->session->traffic;
    Entry *e = find_inflight(t, id);
    if (!e) return false;
    bool is_rec = type == PacketType::Pubrec;
    bool fits = type == PacketType::Puback ? e->qos == 1
              : is_rec                     ? e->qos == 2
                                           : e->stage == Stage::Released;
    if (!fits) {
        *wrong = true;
        return true;
    }
    if (is_rec && !is_failure(reason)) {
        if (e->stage == Stage::Sent) release(b, t, e);
        return true; // the quota stays in use until PUBCOMP
    }
    entry_done(b, t, e); // [MQTT-4.4.0-2]: a failure ends the flow too
    pop_done(t);
    return true;
}

// ---- shared subscriptions --------------------------------------------------

static bool can_take(Broker *b, const Session *s, uint8_t qos) {
    const Client *c = session_client(s);
    if (!c || conn_closing(c->conn)) return false;
    return qos ? deliver_window_open(b, s) : !conn_blocked(c->conn);
}

static uint8_t effective_qos(const Broker *b, const Message *m, const Sub &sub) {
    if (b->options->upgrade_outgoing_qos || m->qos > sub.qos) return sub.qos;
    return m->qos;
}

Sub *group_choose(Broker *b, Group *g, const Message *m, const Session *except) {
    uint32_t n = g->members.size;
    Sub *fallback = nullptr;
    uint32_t fallback_at = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (g->turn + k) % n;
        Sub *sub = &g->members[i];
        Session *s = session_of(sub->subscriber);
        if (s == except) continue;
        if (can_take(b, s, effective_qos(b, m, *sub))) {
            g->turn = (i + 1) % n;
            return sub;
        }
        if (!fallback) {
            fallback = sub;
            fallback_at = i;
        }
    }
    if (fallback) g->turn = (fallback_at + 1) % n;
    return fallback;
}

// Gives a message that this session will not get to another member.
static void pass_on(Broker *b, Session *from, Group *g, Message *m) {
    if (message_expired(m, broker_now(b))) {
        b->stats.expired_messages++;
        return;
    }
    Sub *sub = group_choose(b, g, m, from);
    if (!sub) return;
    Delivery d;
    d.group = g;
    d.sub_id = sub->id;
    d.qos = effective_qos(b, m, *sub);
    d.retain = m->retain && sub->retain_as_published;
    deliver(b, session_of(sub->subscriber), m, d);
}

static Group *entry_group(const Traffic *t, const Entry &e) {
    return e.is_shared ? t->shares[e.sub_id].group : nullptr;
}

void deliver_leave_group(Broker *b, Session *s, Group *g) {
    Traffic *t = s->traffic;
    if (!t) return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->queue.size; i++) {
        Entry e = *ring_at(&t->queue, i);
        if (entry_group(t, e) != g) {
            *ring_at(&t->queue, kept++) = e;
            continue;
        }
        uncount_queued(b, t, e.message);
        pass_on(b, s, g, e.message);
        entry_drop(b, &e);
    }
    while (t->queue.size > kept) ring_remove(&t->queue, t->queue.size - 1);
    // What is in flight is completed here [MQTT-3.10.4-3]; it only forgets
    // where it came from.
    for (uint32_t i = 0; i < t->inflight.size; i++) {
        Entry *e = ring_at(&t->inflight, i);
        if (entry_group(t, *e) != g) continue;
        e->sub_id = t->shares[e->sub_id].sub_id & 0xfffffffu;
        e->is_shared = 0;
    }
    for (Share &share : t->shares)
        if (share.group == g) share.group = nullptr;
    session_tidy(s);
}

void deliver_drop_all(Broker *b, Session *s) {
    Traffic *t = s->traffic;
    if (!t) return;
    for (uint32_t i = 0; i < t->inflight.size; i++) {
        Entry *e = ring_at(&t->inflight, i);
        Group *g = entry_group(t, *e);
        if (g && e->qos == 1 && e->message) pass_on(b, s, g, e->message); // N5-62
        entry_drop(b, e);
    }
    for (uint32_t i = 0; i < t->queue.size; i++) {
        Entry *e = ring_at(&t->queue, i);
        uncount_queued(b, t, e->message);
        if (Group *g = entry_group(t, *e)) pass_on(b, s, g, e->message);
        entry_drop(b, e);
    }
    t->inflight.size = t->queue.size = t->received.size = 0;
    session_tidy(s);
}
