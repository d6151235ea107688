// broker/handle_publish.cpp -- PUBLISH and the acknowledgements, both ways.
#include <algorithm>

#include "base/log.h"
#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/topics.h"

// ---- acknowledging ---------------------------------------------------------

static void send_ack(Client *c, PacketType type, uint16_t id, Reason reason) {
    char buffer[ENCODE_MAX + 64];
    Bytes why = is_failure(reason) && client_explains(c) ? Bytes(reason_text(reason)) : Bytes();
    Writer w{buffer, buffer + sizeof buffer};
    ack_encode(&w, type, c->version, id, reason, why);
    if (static_cast<size_t>(w.at - buffer) > c->max_packet_size) { // [MQTT-3.4.2-2]
        w.at = buffer;
        ack_encode(&w, type, c->version, id, reason, Bytes());
    }
    log_debug("Sending %s to %.*s (m%u, rc%u)", client_packet_name(type), LOG_BYTES(client_id(c)), id,
              static_cast<unsigned>(reason));
    client_promise(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
}

static void acknowledge(Client *c, const Publish &p, Reason reason) {
    if (p.qos == 1) send_ack(c, PacketType::Puback, p.id, reason);
    if (p.qos == 2) send_ack(c, PacketType::Pubrec, p.id, reason);
}

// ---- QoS 2 ids received and not yet released, sorted -----------------------

static uint16_t *received_place(Traffic *t, uint16_t id) {
    return std::lower_bound(t->received.begin(), t->received.end(), id);
}

static bool received_has(const Session *s, uint16_t id) {
    Traffic *t = s->traffic;
    if (!t) return false;
    uint16_t *at = received_place(t, id);
    return at != t->received.end() && *at == id;
}

static void received_add(Session *s, uint16_t id) {
    Traffic *t = session_traffic(s);
    uint32_t i = static_cast<uint32_t>(received_place(t, id) - t->received.begin());
    vec_push(&t->received, id);
    uint16_t *at = t->received.data + i;
    memmove(at + 1, at, (t->received.size - 1 - i) * sizeof(uint16_t));
    *at = id;
}

static bool received_remove(Session *s, uint16_t id) {
    if (!received_has(s, id)) return false;
    Traffic *t = s->traffic;
    vec_remove(&t->received, static_cast<uint32_t>(received_place(t, id) - t->received.begin()));
    session_tidy(s);
    return true;
}

// ---- topic aliases from the client -----------------------------------------

// Replaces an alias by its topic, or learns a new one [MQTT-3.3.2-12].
static Reason resolve_alias(Client *c, Publish *p) {
    uint16_t alias = p->props.topic_alias;
    if (!(p->props.has & PROP_TOPIC_ALIAS)) return Reason::Success;
    if (!alias || alias > policy_of(c)->max_topic_alias) return Reason::TopicAliasInvalid;
    Vec<Name *> *in = &client_extra(c)->aliases.in;
    bool known = alias <= in->size && (*in)[alias - 1u];
    if (p->topic.empty()) {
        if (!known) return Reason::ProtocolError; // N5-35
        p->topic = name_text((*in)[alias - 1u]);
        return Reason::Success;
    }
    while (in->size < alias) vec_push(in, static_cast<Name *>(nullptr));
    name_release((*in)[alias - 1u]);
    (*in)[alias - 1u] = name_new(&broker_of(c)->names, p->topic);
    return Reason::Success;
}

// ---- PUBLISH ---------------------------------------------------------------

// Reasons to close the connection.
static Reason check_publish(Client *c, const Publish &p) {
    const BrokerOptions *o = broker_of(c)->options;
    if (p.qos > policy_of(c)->max_qos) return Reason::QosNotSupported; // [MQTT-3.2.2-11]
    if (p.retain && !o->retain_available) return Reason::RetainNotSupported; // [-14]
    uint32_t most = o->max_inflight_messages;
    bool was_told = c->caps & CAP_REASONS; // 3.x knows no Receive Maximum
    if (p.qos < 2 || !most || !was_told || !c->session->traffic) return Reason::Success;
    uint32_t open = c->session->traffic->received.size;
    if (open >= most && !received_has(c->session, p.id))
        return Reason::ReceiveMaximumExceeded; // [MQTT-3.3.4-7]
    return Reason::Success;
}

// Reasons to refuse this message alone.
static Reason check_message(Client *c, const Publish &p) {
    const Broker *b = broker_of(c);
    if (!topic_may_publish(p.topic)) return Reason::NotAuthorized;
    uint32_t limit = b->options->message_size_limit;
    if (limit && p.payload.size() > limit) return Reason::PacketTooLarge;
    if (b->options->memory_limit && mem_used() + p.payload.size() > b->options->memory_limit)
        return Reason::QuotaExceeded;
    return Reason::Success;
}

static Reason route(Client *c, const Publish &p) {
    MessageParts parts;
    parts.mount_point = policy_of(c)->mount_point;
    parts.topic = p.topic;
    parts.payload = p.payload;
    parts.props = &p.props;
    parts.source = c->session->name;
    parts.qos = p.qos;
    parts.retain = p.retain;
    int64_t n = publish_parts(broker_of(c), parts);
    if (n < 0) return Reason::QuotaExceeded;
    return n == 0 && p.qos == 1 ? Reason::NoMatchingSubscribers : Reason::Success;
}

static void count_publish(Client *c, const Publish &p) {
    Stats *stats = &broker_of(c)->stats;
    stats->publish_in++;
    stats->publish_bytes_in += p.payload.size();
}

static Next refuse_message(Client *c, const Publish &p, Reason why) {
    broker_of(c)->stats.publish_dropped++;
    char who[CLIENT_TEXT];
    log_debug("Denied PUBLISH from %s ('%.*s'): %s.", client_text(c, who),
              LOG_BYTES(p.topic), reason_text(why));
    // 3.x cannot be told, but by the end of the connection; out of memory is
    // worth that, since an acknowledgement would promise what is not kept.
    if (why == Reason::QuotaExceeded && p.qos && !(c->caps & CAP_REASONS))
        return client_refuse(c, why, "out of memory");
    acknowledge(c, p, why); // 3.x: as if fine [MQTT-3.3.5-2]
    return Next::Continue;
}

static void log_publish(const Client *c, const Publish &p) {
    log_line(LOG_TYPE_DEBUG, "Received PUBLISH from %.*s (d%d, q%d, r%d, m%u, '%.*s', ... (%zu bytes))",
             LOG_BYTES(client_id(c)), p.dup, p.qos, p.retain, p.id, LOG_BYTES(p.topic),
             p.payload.size());
}

Next handle_publish(Client *c, uint8_t head, Bytes body) {
    Publish p;
    Reason r = publish_decode(body, head, c->version, &p);
    if (r == Reason::Success) r = resolve_alias(c, &p);
    if (r == Reason::Success) r = check_publish(c, p);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    if (log_wants(LOG_TYPE_DEBUG)) log_publish(c, p);
    count_publish(c, p);
    if (p.qos == 2 && received_has(c->session, p.id)) { // [MQTT-4.3.3-10]
        acknowledge(c, p, Reason::Success);
        return Next::Continue;
    }
    r = check_message(c, p);
    if (r == Reason::Success) r = route(c, p);
    if (is_failure(r)) return refuse_message(c, p, r);
    if (p.qos == 2) received_add(c->session, p.id);
    acknowledge(c, p, r);
    return Next::Continue;
}

// ---- PUBACK, PUBREC, PUBREL, PUBCOMP ---------------------------------------

static Next answer_pubrel(Client *c, uint16_t id) {
    // An unknown id is answered too: the client repeats what we have forgotten.
    (void)received_remove(c->session, id);
    send_ack(c, PacketType::Pubcomp, id, Reason::Success);
    return Next::Continue;
}

Next handle_ack(Client *c, uint8_t head, Bytes body) {
    Ack a;
    Reason r = ack_decode(body, head, c->version, &a);
    if (r != Reason::Success) return client_refuse(c, r, reason_text(r));
    PacketType type = packet_type(head);
    log_debug("Received %s from %.*s (Mid: %u, RC:%u)", client_packet_name(type),
              LOG_BYTES(client_id(c)), a.id, static_cast<unsigned>(a.reason));
    if (type == PacketType::Pubrel) return answer_pubrel(c, a.id);
    bool wrong = false;
    bool known = deliver_acked(broker_of(c), c, type, a.id, a.reason, &wrong);
    if (wrong) return client_refuse(c, Reason::ProtocolError, "protocol error");
    if (type == PacketType::Pubrec && !is_failure(a.reason)) {
        send_ack(c, PacketType::Pubrel, a.id, Reason::Success); // known or not
        return Next::Continue;
    }
    if (known) deliver_more(broker_of(c), c);
    return Next::Continue;
}
