// broker/merge.cpp -- one copy a client, however many of its subscriptions match
// (allow_duplicate_messages false).
#include "broker/merge.h"

#include <algorithm>

#include "broker/deliver.h"
#include "broker/publish.h"
#include "mqtt/packets.h"

struct Candidate {
    Session *session;
    Sub sub;
};

static bool by_session(const Candidate &a, const Candidate &b) { return a.session < b.session; }

// The same message with these Subscription Identifiers behind its properties.
static Message *with_ids(Broker *b, const Message *m, const Vec<uint32_t> &ids) {
    size_t head = MESSAGE_HEAD + m->topic_size + m->props_size;
    size_t extra = ids.size * SUBSCRIPTION_ID_MAX;
    size_t size = head + extra + m->payload_size;
    Message *copy = static_cast<Message *>(mem_try(size < sizeof(Message) ? sizeof(Message) : size));
    if (!copy) return nullptr;
    memcpy(static_cast<void *>(copy), m, head);
    copy->blob.refs = 1;
    copy->seq = ++b->seq; // frames are told apart by it
    name_hold(copy->source);
    char *at = copy->data + m->topic_size + m->props_size;
    for (uint32_t id : ids) at += subscription_id_encode(at, id);
    copy->props_size = static_cast<uint32_t>(at - copy->data) - m->topic_size;
    Bytes payload = message_payload(m);
    if (!payload.empty()) memcpy(at, payload.data(), payload.size());
    b->messages.count++;
    b->messages.bytes += m->payload_size;
    return copy;
}

// Delivers one copy for the run of candidates of one session: the highest QoS,
// all identifiers [MQTT-3.3.4-2, -4]. Several identifiers need a message of
// their own, with the identifiers among its properties.
static void deliver_merged(Broker *b, Message *m, const Candidate *first, uint32_t n) {
    Sub best = first[0].sub;
    Vec<uint32_t> ids;
    for (uint32_t i = 0; i < n; i++) {
        const Sub &s = first[i].sub;
        if (s.qos > best.qos) best.qos = s.qos;
        if (s.retain_as_published) best.retain_as_published = 1;
        if (s.id) vec_push(&ids, static_cast<uint32_t>(s.id));
    }
    best.id = ids.size == 1 ? ids[0] & 0xfffffffu : 0;
    Message *copy = ids.size > 1 ? with_ids(b, m, ids) : nullptr;
    Session *s = first[0].session;
    deliver(b, s, copy ? copy : m, publish_delivery(b, s, best, m));
    if (copy) message_release(copy, &b->messages);
    vec_free(&ids);
}

int64_t merge_deliver(Broker *b, Message *m, const Vec<Filter *> &matches) {
    Vec<Candidate> all;
    for (const Filter *f : matches)
        for (const Sub &sub : f->subs) {
            Session *s = session_of(sub.subscriber);
            if (!publish_is_own(s, sub, m)) vec_push(&all, Candidate{s, sub});
        }
    std::sort(all.begin(), all.end(), by_session);
    int64_t sessions = 0;
    for (uint32_t i = 0, j; i < all.size; i = j, sessions++) {
        for (j = i; j < all.size && all[j].session == all[i].session;) j++;
        deliver_merged(b, m, &all[i], j - i);
    }
    vec_free(&all);
    return sessions;
}
