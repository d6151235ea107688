#include "broker/send.h"

#include "base/log.h"
#include "broker/client.h"

// Larger heads than an outbox reserves in one piece are built aside.
constexpr uint32_t RESERVE_MAX = 4096;

// ---- topic aliases towards the client [MQTT-3.3.2-11] ----------------------

// The alias of `topic`, or 0. `*is_new`: it may have one, but it is not made yet.
static uint16_t find_alias(const Client *c, Bytes topic, bool *is_new) {
    const Extra *x = c->extra;
    if (!x || !x->aliases_out_max) return 0;
    for (uint32_t i = 0; i < x->aliases.out.size; i++)
        if (name_text(x->aliases.out[i]) == topic) return static_cast<uint16_t>(i + 1);
    *is_new = x->aliases.out.size < x->aliases_out_max;
    return *is_new ? static_cast<uint16_t>(x->aliases.out.size + 1) : 0;
}

// ---- one receiver ----------------------------------------------------------

static Bytes topic_for(const Client *c, const Message *m) {
    Bytes mount = policy_of(c)->mount_point;
    Bytes topic = message_topic(m);
    return !mount.empty() && starts_with(topic, mount) ? slice(topic, mount.size()) : topic;
}

static PublishHead head_for(const Broker *b, const Client *c, const Message *m,
                            const Sending &s) {
    PublishHead h;
    h.topic = topic_for(c, m);
    h.props = message_props(m);
    h.expiry_at = m->expiry_at;
    h.expiry_s = message_expiry_left_s(m, broker_now(b));
    h.subscription_id = s.sub_id;
    h.id = s.id;
    h.qos = s.qos;
    h.retain = s.retain;
    h.dup = s.dup;
    h.payload_size = m->payload_size;
    return h;
}

static void send_payload(Client *c, Message *m) {
    Bytes payload = message_payload(m);
    if (payload.size() > FRAME_COPY_MAX)
        conn_send_blob(c->conn, &m->blob, payload);
    else if (!payload.empty())
        conn_send(c->conn, payload);
}

static void send_head(Client *c, const PublishHead &h, uint32_t head_size) {
    uint32_t id_at;
    if (head_size <= RESERVE_MAX) {
        char *at = conn_reserve(c->conn, head_size);
        if (!at) return;
        Writer w{at, at + head_size};
        publish_encode(&w, h, c->version, &id_at);
        conn_commit(c->conn, head_size);
        return;
    }
    char *at = static_cast<char *>(mem_alloc(head_size));
    Writer w{at, at + head_size};
    publish_encode(&w, h, c->version, &id_at);
    conn_send(c->conn, Bytes(at, head_size));
    mem_free(at);
}

static bool send_alone(Broker *b, Client *c, Message *m, const Sending &s) {
    PublishHead h = head_for(b, c, m, s);
    bool is_new = false;
    Bytes whole_topic = message_topic(m);
    h.topic_alias = find_alias(c, whole_topic, &is_new);
    if (h.topic_alias && !is_new) h.topic = Bytes();
    uint32_t head_size = 0;
    uint64_t size = publish_size(h, c->version, &head_size);
    if (size > c->max_packet_size || size > uint64_t{VARINT_MAX} + 5) return false;
    if (is_new) vec_push(&c->extra->aliases.out, name_new(&b->names, whole_topic));
    send_head(c, h, head_size);
    send_payload(c, m);
    return true;
}

// ---- a frame shared by many ------------------------------------------------

// Unusually large heads are not kept.
static void frame_reset(Frame *f) {
    f->size = 0;
    if (f->capacity <= FRAME_COPY_MAX) return;
    mem_free(f->data);
    *f = {};
}

static Frame *frame_slot(Broker *b, const Client *c, Message *m, const Sending &s) {
    FrameSet *set = &b->frames;
    if (set->message != m || set->seq != m->seq) {
        set->message = m;
        set->seq = m->seq;
        for (auto &by_qos : set->frames)
            for (auto &by_retain : by_qos)
                for (Frame &f : by_retain) frame_reset(&f);
    }
    return &set->frames[c->caps & CAP_REASONS ? 1 : 0][s.qos][s.retain ? 1 : 0];
}

static void frame_encode(Broker *b, Client *c, Message *m, const Sending &s, Frame *f) {
    PublishHead h = head_for(b, c, m, s);
    f->size = static_cast<uint32_t>(publish_size(h, c->version, &f->head_size));
    bool is_small = f->size <= FRAME_COPY_MAX;
    uint32_t need = is_small ? f->size : f->head_size;
    if (need > f->capacity) {
        mem_free(f->data);
        f->data = static_cast<char *>(mem_alloc(need));
        f->capacity = need;
    }
    Writer w{f->data, f->data + need};
    publish_encode(&w, h, c->version, &f->id_at);
    if (is_small && m->payload_size)
        memcpy(f->data + f->head_size, message_payload(m).data(), m->payload_size);
}

static void patch_id(char *frame, const Frame *f, uint16_t id) {
    if (!f->id_at) return;
    frame[f->id_at] = static_cast<char>(id >> 8);
    frame[f->id_at + 1] = static_cast<char>(id & 0xff);
}

static bool send_shared_frame(Broker *b, Client *c, Message *m, const Sending &s) {
    Frame *f = frame_slot(b, c, m, s);
    if (!f->size) frame_encode(b, c, m, s, f);
    if (f->size > c->max_packet_size) return false;
    if (f->size <= FRAME_COPY_MAX) {
        char *at = conn_reserve(c->conn, f->size);
        if (!at) return true;
        memcpy(at, f->data, f->size);
        patch_id(at, f, s.id);
        conn_commit(c->conn, f->size);
        return true;
    }
    patch_id(f->data, f, s.id);
    conn_send(c->conn, Bytes(f->data, f->head_size));
    conn_send_blob(c->conn, &m->blob, message_payload(m));
    return true;
}

// A frame can be shared if nothing in it depends on the receiver or the time.
static bool can_share(const Client *c, const Message *m, const Sending &s) {
    return !s.sub_id && !s.dup && m->expires_ms == NEVER_MS && m->payload_size < VARINT_MAX / 2 &&
           !(c->extra && c->extra->aliases_out_max) && !*policy_of(c)->mount_point;
}

bool send_publish(Broker *b, Client *c, Message *m, const Sending &s) {
    bool sent = can_share(c, m, s) ? send_shared_frame(b, c, m, s) : send_alone(b, c, m, s);
    if (!sent) return false;
    if (log_wants(LOG_TYPE_DEBUG)) {
        log_line(LOG_TYPE_DEBUG, "Sending PUBLISH to %.*s (d%d, q%d, r%d, m%u, '%.*s', ... (%u bytes))",
                 LOG_BYTES(client_id(c)), s.dup, s.qos, s.retain, s.id,
                 LOG_BYTES(message_topic(m)), m->payload_size);
    }
    b->stats.packets_out++;
    b->stats.publish_out++;
    b->stats.publish_bytes_out += m->payload_size;
    return true;
}

void frames_free(Broker *b) {
    for (auto &by_qos : b->frames.frames)
        for (auto &by_retain : by_qos)
            for (Frame &f : by_retain) mem_free(f.data);
    b->frames = {};
}
