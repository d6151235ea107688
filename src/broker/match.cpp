// broker/match.cpp -- which filters match a topic.
#include "broker/router_inside.h"

static bool take(Bytes *rest, Bytes prefix) {
    if (!starts_with(*rest, prefix)) return false;
    rest->remove_prefix(prefix.size());
    return true;
}

// Is `filter` what is left of the topic under the shape?
static bool equals_masked(Bytes filter, const TopicParts &p, const Shape &shape) {
    for (uint32_t i = 0; i < shape.levels; i++) {
        if (i && !take(&filter, "/")) return false;
        if (!take(&filter, shape_has_plus(shape, i) ? Bytes("+") : p.text[i])) return false;
    }
    if (!shape.has_hash) return filter.empty();
    return filter == (shape.levels ? Bytes("/#") : Bytes("#"));
}

bool FilterOps::equal(uint32_t handle, const FilterKey &key) {
    const Filter *f = static_cast<const Filter *>(slab_at(key.slab, handle));
    if (!key.parts) return filter_text(f) == key.text;
    return f->wildcard && equals_masked(filter_text(f), *key.parts, *key.shape);
}

static void take_apart(const Router *r, Bytes topic, TopicParts *p) {
    p->is_dollar = starts_with(topic, "$");
    p->sum[0] = 0;
    TopicLevels levels = topic_levels(topic);
    uint32_t i = 0;
    for (; i < ROUTER_LEVELS_MAX && topic_next_level(&levels, &p->text[i]); i++) {
        p->hash[i] = level_hash(level_text_hash(r, p->text[i]), i);
        p->to_plus[i] = level_hash(r->plus_text, i) - p->hash[i];
        p->sum[i + 1] = p->sum[i] + p->hash[i];
    }
    p->count = i;
}

static void look_up(Router *r, uint64_t hash, const FilterKey &key, Vec<Filter *> *out) {
    r->lookups++;
    uint32_t *handle = r->filters.find(hash, key);
    if (handle) vec_push(out, static_cast<Filter *>(slab_at(&r->slab, *handle)));
}

// Wildcards at the first level do not match `$` names [MQTT-4.7.2-1].
static bool fits(const TopicParts &p, const Shape &s) {
    return !p.is_dollar || (s.levels && !shape_has_plus(s, 0));
}

static void try_shape(Router *r, const TopicParts &p, const Shape &shape,
                      Vec<Filter *> *out) {
    if (!fits(p, shape)) return;
    uint64_t hash = p.sum[shape.levels];
    for (uint32_t word = 0; word * 64u < shape.levels; word++)
        for (uint64_t bits = shape.plus[word]; bits; bits &= bits - 1)
            hash += p.to_plus[word * 64u + static_cast<uint32_t>(__builtin_ctzll(bits))];
    if (shape.has_hash) hash += level_hash(r->hash_text, shape.levels);
    look_up(r, hash, FilterKey{&r->slab, {}, &p, &shape}, out);
}

static void try_bucket(Router *r, const TopicParts &p, const ShapeBucket &bucket,
                       Vec<Filter *> *out) {
    for (const ShapeProbe &probe : bucket.probes) {
        uint32_t cue = shape_cue(p.hash[probe.first], p.hash[probe.last]);
        if (probe.cues >> cue & 1) try_shape(r, p, r->shapes.all[probe.shape], out);
    }
}

void router_match(Router *r, Bytes topic, Vec<Filter *> *out) {
    if (!r->filters.size()) return;
    TopicParts parts;
    take_apart(r, topic, &parts);
    look_up(r, parts.sum[parts.count], FilterKey{&r->slab, topic, nullptr, nullptr}, out);
    const Shapes &s = r->shapes;
    if (parts.count < s.plain.size) try_bucket(r, parts, s.plain[parts.count], out);
    for (uint32_t n = 0; n <= parts.count && n < s.hashed.size; n++)
        try_bucket(r, parts, s.hashed[n], out);
}
