// broker/handle_subscribe.cpp -- SUBSCRIBE and UNSUBSCRIBE.
#include "base/log.h"
#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/replay.h"
#include "broker/session.h"

// What a text is put together in, mount point before filter; longer ones go
// to the heap.
struct MountedFilter {
    char *heap = nullptr;
    SharedFilter f;
};

// False when the whole would be too long for a topic filter.
static bool mount(const Client *c, Bytes subscription, MountedFilter *out) {
    (void)topic_subscription_parse(subscription, &out->f); // the decoder has checked it
    Bytes point = policy_of(c)->mount_point;
    if (point.empty()) return true;
    size_t size = point.size() + out->f.filter.size();
    if (size > UINT16_MAX) return false;
    out->heap = static_cast<char *>(mem_alloc(size));
    memcpy(out->heap, point.data(), point.size());
    memcpy(out->heap + point.size(), out->f.filter.data(), out->f.filter.size());
    out->f.filter = Bytes(out->heap, size);
    return true;
}

static void send_suback(Client *c, PacketType type, uint16_t id, Bytes codes) {
    size_t size = codes.size() + ENCODE_MAX;
    char *buffer = static_cast<char *>(mem_alloc(size));
    Writer w{buffer, buffer + size};
    suback_encode(&w, type, c->version, id, codes, Bytes());
    Bytes packet(buffer, static_cast<size_t>(w.at - buffer));
    client_promise(c, packet);
    mem_free(buffer);
}

// ---- SUBSCRIBE -------------------------------------------------------------

static SubOptions options_of(const SubscribeFilter &f, uint32_t id) {
    SubOptions o;
    o.id = id;
    o.qos = f.qos;
    o.no_local = f.no_local;
    o.retain_as_published = f.retain_as_published;
    return o;
}

static bool wants_retained(const SubscribeFilter &f, const SharedFilter &shared, bool is_new) {
    if (!shared.share_name.empty()) return false; // N5-45
    if (f.retain_handling == RetainHandling::Never) return false;
    return is_new || f.retain_handling == RetainHandling::Always;
}

// Subscribes to one filter; returns what the SUBACK says of it.
static Reason subscribe_one(Client *c, const SubscribeFilter &f, uint32_t id, bool *replay) {
    Broker *b = broker_of(c);
    MountedFilter m;
    if (b->options->memory_limit && mem_used() >= b->options->memory_limit)
        return Reason::QuotaExceeded;
    if (!mount(c, f.filter, &m)) return Reason::TopicFilterInvalid;
    SubOptions o = options_of(f, id);
    bool is_new = router_subscribe(b->router, &c->session->subscriber, m.f, o);
    *replay = wants_retained(f, m.f, is_new);
    char who[CLIENT_TEXT];
    if (log_wants(LOG_TYPE_SUBSCRIBE))
        log_line(LOG_TYPE_SUBSCRIBE, "%s %u %.*s", client_text(c, who), o.qos,
                 LOG_BYTES(f.filter));
    mem_free(m.heap);
    return static_cast<Reason>(o.qos);
}

static void start_replay(Client *c, const SubscribeFilter &f, uint32_t id) {
    Broker *b = broker_of(c);
    MountedFilter m;
    if (!mount(c, f.filter, &m)) return;
    replay_begin(b, c->session, m.f.filter, options_of(f, id));
    mem_free(m.heap);
}

Next handle_subscribe(Client *c, uint8_t head, Bytes body) {
    Subscribe s;
    Reason r = subscribe_decode(body, head, c->version, &s);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    uint32_t id = s.props.subscription_id;
    Vec<char> codes;
    Vec<char> replays; // one flag a filter
    vec_reserve(&codes, s.count);
    vec_reserve(&replays, s.count);
    SubscribeFilter f;
    for (Bytes rest = s.filters; subscribe_next(&rest, c->version, &f);) {
        bool replay = false;
        Reason code = subscribe_one(c, f, id, &replay);
        if (is_failure(code) && !(c->caps & CAP_SUBACK_FAILURE))
            code = static_cast<Reason>(f.qos); // 3.1 has no word for it
        vec_push(&codes, static_cast<char>(code));
        vec_push(&replays, static_cast<char>(replay));
    }
    send_suback(c, PacketType::Suback, s.id, Bytes(codes.data, codes.size));
    uint32_t i = 0;
    for (Bytes rest = s.filters; subscribe_next(&rest, c->version, &f); i++)
        if (replays[i]) start_replay(c, f, id);
    vec_free(&codes);
    vec_free(&replays);
    deliver_more(broker_of(c), c);
    return Next::Continue;
}

// ---- UNSUBSCRIBE -----------------------------------------------------------

static Reason unsubscribe_one(Client *c, Bytes filter) {
    Broker *b = broker_of(c);
    Session *s = c->session;
    MountedFilter m;
    if (!mount(c, filter, &m)) return Reason::NoSubscriptionExisted;
    Group *g = nullptr;
    if (!m.f.share_name.empty()) {
        Sub *sub = router_find(b->router, &s->subscriber, m.f);
        if (sub) g = router_group(b->router, s->subscriber.subs[sub->back]);
    }
    if (g) deliver_leave_group(b, s, g);
    if (m.f.share_name.empty()) replay_cancel(b, s, m.f.filter);
    bool existed = router_unsubscribe(b->router, &s->subscriber, m.f);
    mem_free(m.heap);
    char who[CLIENT_TEXT];
    if (log_wants(LOG_TYPE_UNSUBSCRIBE))
        log_line(LOG_TYPE_UNSUBSCRIBE, "%s %.*s", client_text(c, who), LOG_BYTES(filter));
    return existed ? Reason::Success : Reason::NoSubscriptionExisted;
}

Next handle_unsubscribe(Client *c, uint8_t head, Bytes body) {
    Subscribe s;
    Reason r = unsubscribe_decode(body, head, c->version, &s);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    Vec<char> codes;
    vec_reserve(&codes, s.count);
    Bytes filter;
    for (Bytes rest = s.filters; unsubscribe_next(&rest, &filter);)
        vec_push(&codes, static_cast<char>(unsubscribe_one(c, filter)));
    send_suback(c, PacketType::Unsuback, s.id, Bytes(codes.data, codes.size));
    vec_free(&codes);
    return Next::Continue;
}
