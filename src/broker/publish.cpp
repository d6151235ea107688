// broker/publish.cpp -- retained store, matching, and the fan-out.
#include "broker/publish.h"

#include "broker/deliver.h"
#include "broker/merge.h"

// ---- to one subscription ---------------------------------------------------

bool publish_is_own(const Session *s, const Sub &sub, const Message *m) {
    if (!sub.no_local && !s->is_bridge) return false;
    return m->source && (m->source == s->name || name_text(m->source) == session_id(s));
}

Delivery publish_delivery(const Broker *b, const Session *s, const Sub &sub,
                          const Message *m) {
    Delivery d;
    d.sub_id = sub.id;
    d.qos = b->options->upgrade_outgoing_qos || m->qos > sub.qos ? sub.qos : m->qos;
    d.retain = m->retain && (sub.retain_as_published || s->is_bridge);
    return d;
}

static int64_t deliver_each(Broker *b, Message *m, const Filter *f) {
    int64_t n = 0;
    for (const Sub &sub : f->subs) {
        Session *s = session_of(sub.subscriber);
        if (publish_is_own(s, sub, m)) continue;
        deliver(b, s, m, publish_delivery(b, s, sub, m));
        n++;
    }
    return n;
}

static int64_t deliver_shared(Broker *b, Message *m, const Filter *f) {
    int64_t n = 0;
    for (Group *g = f->groups; g; g = g->next) {
        Sub *sub = group_choose(b, g, m, nullptr);
        if (!sub) continue;
        Session *s = session_of(sub->subscriber);
        Delivery d = publish_delivery(b, s, *sub, m);
        d.group = g;
        deliver(b, s, m, d);
        n++;
    }
    return n;
}

// ---- the whole way ---------------------------------------------------------

static void store_retained(Broker *b, Message *m) {
    if (m->payload_size) retained_set(b->retained, m);
    else retained_remove(b->retained, message_topic(m)); // [MQTT-3.3.1-6, -7]
}

int64_t publish_message(Broker *b, Message *m) {
    m->seq = ++b->seq;
    if (m->retain) store_retained(b, m);
    Vec<Filter *> &matches = b->matches; // nothing publishes while it delivers
    matches.size = 0;
    router_match(b->router, message_topic(m), &matches);
    int64_t n = 0;
    bool merge = !b->options->allow_duplicate_messages && matches.size > 1;
    if (merge) n += merge_deliver(b, m, matches);
    for (const Filter *f : matches) {
        if (!merge) n += deliver_each(b, m, f);
        if (f->groups) n += deliver_shared(b, m, f);
    }
    return n;
}

int64_t publish_parts(Broker *b, const MessageParts &parts) {
    Message *m = message_new(parts, 0, broker_now(b), &b->messages);
    if (!m) return -1;
    int64_t n = publish_message(b, m);
    message_release(m, &b->messages);
    return n;
}

void publish_will(Broker *b, Message *will) {
    if (!will) return;
    if (will->expires_ms != NEVER_MS) will->expires_ms += broker_now(b);
    publish_message(b, will);
    message_release(will, &b->messages);
}

void publish_internal(Broker *b, Bytes topic, Bytes payload, uint8_t qos, bool retain) {
    MessageParts parts;
    parts.topic = topic;
    parts.payload = payload;
    parts.qos = qos;
    parts.retain = retain;
    (void)publish_parts(b, parts);
}
