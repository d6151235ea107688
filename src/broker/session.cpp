#include "broker/session.h"

#include "base/log.h"
#include "broker/deliver.h"
#include "broker/publish.h"
#include "broker/replay.h"

static uint64_t id_hash(const Broker *b, Bytes id) { return hash_bytes(b->setup.hash_key, id); }

Session *session_find(Broker *b, Bytes id) {
    Session **s = b->sessions.find(id_hash(b, id), id);
    return s ? *s : nullptr;
}

Session *session_new(Broker *b, Bytes id) {
    Session *s = pool_new<Session>(&b->session_pool);
    s->name = name_new(&b->names, id);
    b->sessions.insert(id_hash(b, id), s);
    if (b->sessions.size() > b->stats.clients_maximum)
        b->stats.clients_maximum = b->sessions.size();
    return s;
}

// ---- absence ---------------------------------------------------------------

// Seconds until the absent client's session ends; NO_EXPIRY: never.
static uint32_t effective_expiry(const Broker *b, const Session *s) {
    uint32_t limit = b->options->persistent_client_expiration_s;
    return s->expiry_s == NO_EXPIRY && limit ? limit : s->expiry_s;
}

void session_park(Broker *b, Session *s, Message *will, uint32_t will_delay_s) {
    assert(!s->is_online && !s->offline);
    uint32_t expiry_s = effective_expiry(b, s);
    if (!expiry_s) {
        assert(!will);
        return session_end(b, s);
    }
    replay_pause(b, s);
    Offline *o = mem_new<Offline>();
    s->offline = o;
    o->session = s;
    o->will = will;
    o->expiry.kind = TIMER_SESSION_EXPIRY;
    o->will_timer.kind = TIMER_WILL;
    if (expiry_s != NO_EXPIRY)
        wheel_start(&b->wheel, &o->expiry, broker_now(b) + expiry_s * 1000ull);
    if (will)
        wheel_start(&b->wheel, &o->will_timer, broker_now(b) + will_delay_s * 1000ull);
}

// Ends the absence; the will that waited is returned with its reference.
static Message *end_absence(Broker *b, Session *s) {
    Offline *o = s->offline;
    if (!o) return nullptr;
    Message *will = o->will;
    wheel_stop(&b->wheel, &o->expiry);
    wheel_stop(&b->wheel, &o->will_timer);
    mem_delete(o);
    s->offline = nullptr;
    return will;
}

void session_unpark(Broker *b, Session *s) {
    Message *will = end_absence(b, s);
    if (will) message_release(will, &b->messages);
}

void session_on_expiry(Broker *b, Offline *o) {
    b->stats.expired_sessions++;
    log_notice("Expiring client %.*s due to timeout.", LOG_BYTES(session_id(o->session)));
    session_end(b, o->session);
}

void session_on_will(Broker *b, Offline *o) {
    Message *will = o->will;
    o->will = nullptr;
    publish_will(b, will);
}

void session_end(Broker *b, Session *s) {
    assert(!s->is_online);
    Message *will = end_absence(b, s);
    replay_end_all(b, s);
    deliver_drop_all(b, s); // while it is still a member, so that others get it
    router_remove_all(b->router, &s->subscriber);
    b->sessions.remove(id_hash(b, session_id(s)), session_id(s));
    publish_will(b, will); // after the session's own subscriptions are gone
    few_free(&s->subscriber.subs);
    name_release(s->name);
    pool_free(s);
}

// ---- traffic ---------------------------------------------------------------

Traffic *session_traffic(Session *s) {
    if (!s->traffic) s->traffic = mem_new<Traffic>();
    return s->traffic;
}

void session_tidy(Session *s) {
    Traffic *t = s->traffic;
    if (!t || t->inflight.size || t->queue.size || t->received.size || t->replays ||
        t->is_replaying)
        return;
    vec_free(&t->received);
    vec_free(&t->shares);
    ring_free(&t->inflight);
    ring_free(&t->queue);
    mem_delete(t);
    s->traffic = nullptr;
}
