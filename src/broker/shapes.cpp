#include "broker/shapes.h"

bool ShapeOps::equal(uint32_t value, const ShapeKey &key) {
    const Shape &a = key.shapes->all[value], &b = *key.shape;
    return a.levels == b.levels && a.has_hash == b.has_hash &&
           memcmp(a.plus, b.plus, sizeof a.plus) == 0;
}

// Not keyed: whoever makes shapes collide pays with look-ups of his own
// subscriptions, and each of them costs a comparison.
static uint64_t shape_hash(const Shape &s) {
    uint64_t h = s.levels * 2u + s.has_hash;
    for (uint64_t word : s.plus) h = hash_mix(h ^ word) + 0x9e3779b97f4a7c15u;
    return h;
}

static void free_buckets(Vec<ShapeBucket> *v) {
    for (ShapeBucket &b : *v) vec_free(&b.probes);
    vec_free(v);
}

void shapes_free(Shapes *s) {
    free_buckets(&s->plain);
    free_buckets(&s->hashed);
    vec_free(&s->all);
    vec_free(&s->free);
    s->by_mask.free();
}

Shape shape_of(Bytes filter) {
    Shape s;
    TopicLevels levels = topic_levels(filter);
    Bytes level;
    while (topic_next_level(&levels, &level)) {
        if (level == "#") {
            s.has_hash = true;
            break;
        }
        if (level == "+") {
            s.plus[s.levels / 64] |= 1ull << s.levels % 64;
        } else {
            if (!s.has_literal) s.first = s.levels;
            s.last = s.levels;
            s.has_literal = true;
        }
        s.levels++;
    }
    return s;
}

static ShapeBucket *bucket_of(Shapes *s, const Shape &shape) {
    Vec<ShapeBucket> *v = shape.has_hash ? &s->hashed : &s->plain;
    while (v->size <= shape.levels) vec_push(v, ShapeBucket{});
    return &(*v)[shape.levels];
}

static uint32_t shape_new(Shapes *s, const Shape &shape) {
    uint32_t number = s->all.size;
    if (s->free.size) {
        number = s->free[s->free.size - 1];
        s->free.size--;
    } else {
        vec_push(&s->all, Shape{});
    }
    ShapeBucket *bucket = bucket_of(s, shape);
    s->all[number] = shape;
    s->all[number].at = bucket->probes.size;
    uint64_t cues = shape.has_literal ? 0 : UINT64_MAX;
    vec_push(&bucket->probes, ShapeProbe{cues, number, shape.first, shape.last});
    s->by_mask.insert(shape_hash(shape), number);
    return number;
}

void shapes_add(Shapes *s, const Shape &shape, uint32_t cue) {
    uint32_t *found = s->by_mask.find(shape_hash(shape), ShapeKey{s, &shape});
    uint32_t number = found ? *found : shape_new(s, shape);
    s->all[number].filters++;
    bucket_of(s, shape)->probes[s->all[number].at].cues |= 1ull << cue;
}

// The last probe of the bucket takes the place of the one that goes.
static void shape_end(Shapes *s, uint32_t number) {
    ShapeBucket *bucket = bucket_of(s, s->all[number]);
    uint32_t at = s->all[number].at;
    vec_swap_remove(&bucket->probes, at);
    if (at < bucket->probes.size) s->all[bucket->probes[at].shape].at = at;
    vec_shrink(&bucket->probes);
    vec_push(&s->free, number);
    if (!shapes_count(s)) shapes_free(s);
}

void shapes_remove(Shapes *s, const Shape &shape) {
    ShapeKey key{s, &shape};
    uint64_t hash = shape_hash(shape);
    uint32_t *found = s->by_mask.find(hash, key);
    assert(found);
    uint32_t number = *found;
    if (--s->all[number].filters) return;
    s->by_mask.remove(hash, key);
    shape_end(s, number);
}
