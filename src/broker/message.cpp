#include "broker/message.h"

#include "base/mem.h"

// Copies `v` to `at` and returns what is behind it.
static char *put(char *at, Bytes v) {
    if (!v.empty()) memcpy(at, v.data(), v.size());
    return at + v.size();
}

// ---- names -----------------------------------------------------------------

static size_t name_bytes(size_t text) {
    size_t size = offsetof(Name, text) + text;
    return size < sizeof(Name) ? sizeof(Name) : size;
}

void name_pool_init(NamePool *p) {
    for (size_t i = 0; i < NAME_POOLS; i++) pool_init(&p->pools[i], POOL_BLOCK_MIN + i * 8);
}

void name_pool_end(NamePool *p) {
    for (Pool &pool : p->pools) pool_end(&pool);
}

// Null: too long for a pool.
static Pool *pool_for(NamePool *p, size_t bytes) {
    if (bytes > NAME_POOLED_MAX) return nullptr;
    if (bytes <= POOL_BLOCK_MIN) return &p->pools[0];
    return &p->pools[(bytes - POOL_BLOCK_MIN + 7) / 8];
}

Name *name_new(NamePool *p, Bytes text) {
    size_t bytes = name_bytes(text.size());
    Pool *pool = pool_for(p, bytes);
    Name *n = new (pool ? pool_alloc(pool) : mem_alloc(bytes)) Name;
    n->size = static_cast<uint16_t>(text.size());
    put(n->text, text);
    return n;
}

void name_release(Name *n) {
    if (!n || --n->refs) return;
    if (name_bytes(n->size) > NAME_POOLED_MAX) mem_free(n);
    else pool_free(n);
}

// ---- messages --------------------------------------------------------------

// Topic and properties, in their places; the payload follows at the place
// returned.
static char *put_head(Message *m, const MessageParts &p) {
    char *at = put(put(m->data, p.mount_point), p.topic);
    if (m->props_size) publish_forward_props(*p.props, at);
    return at + m->props_size;
}

static void set_fields(Message *m, const MessageParts &p, const ForwardProps &props,
                       uint64_t now_ms) {
    m->payload_size = static_cast<uint32_t>(p.payload.size());
    m->source = name_hold(p.source);
    m->props_size = props.size;
    m->topic_size = static_cast<uint16_t>(p.mount_point.size() + p.topic.size());
    m->expiry_at = props.expiry_at;
    m->qos = p.qos & 3;
    m->retain = p.retain;
    if (p.props && p.props->has & PROP_MESSAGE_EXPIRY)
        m->expires_ms = now_ms + p.props->message_expiry_s * 1000ull;
}

Message *message_new(const MessageParts &p, uint64_t seq, uint64_t now_ms,
                     MessageStats *stats) {
    size_t topic_size = p.mount_point.size() + p.topic.size();
    if (topic_size > UINT16_MAX || p.payload.size() > UINT32_MAX) return nullptr;
    ForwardProps props;
    if (p.props) props = publish_forward_props(*p.props, nullptr);
    size_t size = MESSAGE_HEAD + topic_size + props.size + p.payload.size();
    void *block = mem_try(size < sizeof(Message) ? sizeof(Message) : size);
    if (!block) return nullptr;
    Message *m = new (block) Message;
    set_fields(m, p, props, now_ms);
    m->seq = seq;
    put(put_head(m, p), p.payload);
    stats->count++;
    stats->bytes += m->payload_size;
    return m;
}

void message_free(Message *m, MessageStats *stats) {
    stats->count--;
    stats->bytes -= m->payload_size;
    name_release(m->source);
    mem_free(m);
}

uint32_t message_expiry_left_s(const Message *m, uint64_t now_ms) {
    if (m->expires_ms == NEVER_MS) return NO_EXPIRY;
    if (message_expired(m, now_ms)) return 0;
    uint64_t left_s = (m->expires_ms - now_ms + 999) / 1000;
    return left_s < NO_EXPIRY ? static_cast<uint32_t>(left_s) : NO_EXPIRY - 1;
}
