#include "broker/retained.h"

#include <algorithm>

#include "broker/retained_inside.h"
#include "mqtt/topic.h"

// A mount point of up to 255 bytes may stand before any topic.
static_assert(TOPIC_MAX_LEVELS + 255 < 512, "levels of a topic fit into a word key");

bool TopicOps::equal(uint32_t handle, const TopicKey &key) {
    return retained_topic(key.retained, handle) == key.topic;
}

static int compare_topics(const void *retained, const void *probe, uint64_t key) {
    Bytes a = *static_cast<const Bytes *>(probe);
    Bytes b = retained_topic(static_cast<const Retained *>(retained), key);
    size_t n = std::min(a.size(), b.size());
    int order = n ? memcmp(a.data(), b.data(), n) : 0;
    if (order) return order;
    return a.size() < b.size() ? -1 : a.size() > b.size();
}

static int compare_words(const void *, const void *probe, uint64_t key) {
    uint64_t a = *static_cast<const uint64_t *>(probe);
    return a < key ? -1 : a > key;
}

Retained *retained_create(const HashKey &key, MessageStats *stats) {
    Retained *r = mem_new<Retained>();
    r->key = key;
    r->stats = stats;
    slab_init(&r->entries);
    r->in_order.compare = compare_topics;
    r->in_order.user = r;
    r->by_word.compare = compare_words;
    return r;
}

void retained_free(Retained *r) {
    ordered_free(&r->in_order);
    ordered_free(&r->by_word);
    uint64_t it = 0;
    while (uint32_t *handle = r->by_topic.next(&it))
        message_release(retained_entry(r, *handle), r->stats);
    r->by_topic.free();
    slab_end(&r->entries);
    mem_delete(r);
}

uint64_t retained_count(const Retained *r) { return r->by_topic.size(); }
uint64_t retained_bytes(const Retained *r) { return r->payload_bytes; }

uint32_t level_count(Bytes topic) {
    return 1 + static_cast<uint32_t>(std::count(topic.begin(), topic.end(), '/'));
}

// ---- set, get, remove ------------------------------------------------------

static uint32_t *find(Retained *r, Bytes topic, uint64_t hash) {
    return r->by_topic.find(hash, TopicKey{r, topic});
}

Message *retained_get(Retained *r, Bytes topic) {
    uint32_t *handle = find(r, topic, hash_bytes(r->key, topic));
    return handle ? retained_entry(r, *handle) : nullptr;
}

static bool contains(const uint64_t *keys, uint32_t n, uint64_t key) {
    return std::find(keys, keys + n, key) != keys + n;
}

// The keys of the topic's words, each once (two may share a hash); returns how
// many. in_order knows the first level, so that is none.
static uint32_t word_keys(const Retained *r, Bytes topic, uint32_t handle, uint64_t *keys) {
    uint32_t n = level_count(topic);
    TopicLevels levels = topic_levels(topic);
    Bytes text;
    (void)topic_next_level(&levels, &text);
    uint32_t count = 0;
    for (uint32_t i = 1; i <= RETAINED_WORDS && topic_next_level(&levels, &text); i++) {
        uint64_t key = word_key(r, text, i, n) | handle;
        if (!contains(keys, count, key)) keys[count++] = key;
    }
    return count;
}

static void add(Retained *r, Message *m, uint64_t hash) {
    Bytes topic = message_topic(m);
    uint32_t handle;
    auto **entry = static_cast<Message **>(slab_alloc(&r->entries, sizeof m, &handle));
    *entry = message_hold(m);
    r->by_topic.insert(hash, handle);
    ordered_insert(&r->in_order, &topic, handle);
    uint64_t keys[RETAINED_WORDS];
    uint32_t n = word_keys(r, topic, handle, keys);
    for (uint32_t i = 0; i < n; i++) ordered_insert(&r->by_word, &keys[i], keys[i]);
}

void retained_set(Retained *r, Message *m) {
    r->payload_bytes += m->payload_size;
    Bytes topic = message_topic(m);
    uint64_t hash = hash_bytes(r->key, topic);
    uint32_t *handle = find(r, topic, hash);
    if (!handle) return add(r, m, hash);
    Message *before = retained_entry(r, *handle);
    retained_entry(r, *handle) = message_hold(m);
    r->payload_bytes -= before->payload_size;
    message_release(before, r->stats);
}

bool retained_remove(Retained *r, Bytes topic) {
    uint64_t hash = hash_bytes(r->key, topic);
    uint32_t *found = find(r, topic, hash);
    if (!found) return false;
    uint32_t handle = *found;
    Message *m = retained_entry(r, handle);
    topic = message_topic(m); // what we were given may be a part of what goes
    uint64_t keys[RETAINED_WORDS];
    uint32_t n = word_keys(r, topic, handle, keys);
    for (uint32_t i = 0; i < n; i++) ordered_remove(&r->by_word, &keys[i]);
    ordered_remove(&r->in_order, &topic);
    r->by_topic.remove(hash, TopicKey{r, topic});
    slab_free(&r->entries, handle);
    r->payload_bytes -= m->payload_size;
    message_release(m, r->stats);
    return true;
}

uint32_t retained_expire(Retained *r, uint64_t now_ms, uint32_t budget) {
    uint32_t removed = 0;
    uint32_t looks = std::min(budget, r->by_topic.size());
    for (; looks; looks--) {
        uint32_t *handle = r->by_topic.next(&r->expire_at);
        if (!handle) {
            r->expire_at = 0;
            continue;
        }
        Message *m = retained_entry(r, *handle);
        if (!message_expired(m, now_ms)) continue;
        retained_remove(r, message_topic(m));
        r->expire_at--; // another may have moved here
        removed++;
    }
    return removed;
}
