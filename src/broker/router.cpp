#include "broker/router.h"

#include "broker/router_inside.h"

Router *router_create(const HashKey &key) {
    Router *r = mem_new<Router>();
    r->key = key;
    r->plus_text = level_text_hash(r, "+");
    r->hash_text = level_text_hash(r, "#");
    slab_init(&r->slab);
    return r;
}

void router_free(Router *r) {
    assert(!r->subscriptions);
    r->filters.free();
    r->groups.free();
    shapes_free(&r->shapes);
    slab_end(&r->slab);
    mem_delete(r);
}

RouterStats router_stats(const Router *r) {
    return {r->subscriptions, r->shared, r->filters.size(), r->lookups,
            shapes_count(&r->shapes)};
}

static Filter *filter_at(const Router *r, uint32_t handle) {
    return static_cast<Filter *>(slab_at(&r->slab, handle));
}
static Group *group_at(const Router *r, uint32_t handle) {
    return static_cast<Group *>(slab_at(&r->slab, handle));
}

void router_each(Router *r, void (*each)(void *user, const Filter *), void *user) {
    uint64_t it = 0;
    while (uint32_t *handle = r->filters.next(&it)) each(user, filter_at(r, *handle));
}

// ---- filters ---------------------------------------------------------------

// The hash of a filter's text. `cue` gets its cue if `shape` is not null.
static uint64_t hash_filter(const Router *r, Bytes text, const Shape *shape, uint32_t *cue) {
    uint64_t sum = 0, first = 0, last = 0;
    uint32_t i = 0;
    TopicLevels levels = topic_levels(text);
    Bytes level;
    for (; topic_next_level(&levels, &level); i++) {
        uint64_t h = level_hash(level_text_hash(r, level), i);
        sum += h;
        if (!shape) continue;
        if (i == shape->first) first = h;
        if (i == shape->last) last = h;
    }
    if (shape) *cue = shape_cue(first, last);
    return sum;
}

static FilterKey key_of(const Router *r, Bytes text) {
    return {&r->slab, text, nullptr, nullptr};
}

// The handle of the filter of that text; SLAB_NONE if there is none.
static uint32_t filter_find(Router *r, Bytes text) {
    uint32_t *h = r->filters.find(hash_filter(r, text, nullptr, nullptr), key_of(r, text));
    return h ? *h : SLAB_NONE;
}

// A block for a struct T that ends in `room` bytes of text, which is longer.
template <class T>
static T *block_new(Router *r, size_t head, size_t room, Bytes text, uint32_t *handle) {
    size_t size = text.size() > room ? head + text.size() : sizeof(T);
    T *t = new (slab_alloc(&r->slab, size, handle)) T;
    if (!text.empty()) memcpy(reinterpret_cast<char *>(t) + head, text.data(), text.size());
    return t;
}

static uint32_t filter_new(Router *r, Bytes text) {
    uint32_t handle;
    Filter *f = block_new<Filter>(r, offsetof(Filter, text), sizeof f->text, text, &handle);
    f->size = static_cast<uint16_t>(text.size());
    f->wildcard = topic_has_wildcard(text);
    if (!f->wildcard) {
        r->filters.insert(hash_filter(r, text, nullptr, nullptr), handle);
        return handle;
    }
    Shape shape = shape_of(text);
    uint32_t cue;
    r->filters.insert(hash_filter(r, text, &shape, &cue), handle);
    shapes_add(&r->shapes, shape, cue);
    return handle;
}

// Ends a filter that nobody subscribes to any more.
static void filter_tidy(Router *r, Filter *f) {
    if (f->subs.size || f->groups) return;
    Bytes text = filter_text(f);
    uint32_t handle = filter_find(r, text);
    r->filters.remove(hash_filter(r, text, nullptr, nullptr), key_of(r, text));
    if (f->wildcard) shapes_remove(&r->shapes, shape_of(text));
    few_free(&f->subs);
    slab_free(&r->slab, handle);
}

// ---- groups ----------------------------------------------------------------

static Bytes group_name(const Group *g) { return {g->name, g->name_size}; }

bool GroupOps::equal(uint32_t handle, const GroupKey &key) {
    auto *g = static_cast<const Group *>(slab_at(key.slab, handle));
    return g->filter == key.filter && group_name(g) == key.name;
}

static uint64_t hash_group(const Router *r, const Filter *f, Bytes name) {
    return hash_bytes(r->key, name) ^ hash_mix(reinterpret_cast<uintptr_t>(f));
}

// The handle of the filter's group of that name; SLAB_NONE if there is none.
static uint32_t group_find(Router *r, const Filter *f, Bytes name) {
    uint32_t *h = r->groups.find(hash_group(r, f, name), GroupKey{&r->slab, f, name});
    return h ? *h : SLAB_NONE;
}

static uint32_t group_new(Router *r, Filter *f, Bytes name) {
    uint32_t handle;
    Group *g = block_new<Group>(r, offsetof(Group, name), sizeof g->name, name, &handle);
    g->next = f->groups;
    if (g->next) g->next->prev = g;
    g->filter = f;
    if (!++r->last_group_id) ++r->last_group_id;
    g->id = r->last_group_id;
    g->name_size = static_cast<uint16_t>(name.size());
    f->groups = g;
    r->groups.insert(hash_group(r, f, name), handle);
    return handle;
}

static void group_end(Router *r, Group *g, uint32_t handle) {
    Bytes name = group_name(g);
    r->groups.remove(hash_group(r, g->filter, name), GroupKey{&r->slab, g->filter, name});
    if (g->next) g->next->prev = g->prev;
    (g->prev ? g->prev->next : g->filter->groups) = g->next;
    vec_free(&g->members);
    slab_free(&r->slab, handle);
}

// ---- subscriptions ---------------------------------------------------------

Filter *router_filter(Router *r, const SubRef &ref) {
    return ref.shared ? group_at(r, ref.list)->filter : filter_at(r, ref.list);
}

Group *router_group(Router *r, const SubRef &ref) {
    return ref.shared ? group_at(r, ref.list) : nullptr;
}

Sub *router_sub(Router *r, const SubRef &ref) {
    if (ref.shared) return &group_at(r, ref.list)->members[ref.index];
    return &filter_at(r, ref.list)->subs[ref.index];
}

// The subscriber's Sub among the `n` of list `handle`. Looks through the
// shorter of the two lists.
static Sub *find_in(Sub *subs, uint32_t n, uint32_t handle, Subscriber *s) {
    if (n <= s->subs.size) {
        for (uint32_t i = 0; i < n; i++)
            if (subs[i].subscriber == s) return &subs[i];
        return nullptr;
    }
    for (const SubRef &ref : s->subs)
        if (ref.list == handle) return &subs[ref.index];
    return nullptr;
}

static Sub *find_shared(Router *r, Filter *f, Bytes name, Subscriber *s) {
    uint32_t handle = group_find(r, f, name);
    if (handle == SLAB_NONE) return nullptr;
    Group *g = group_at(r, handle);
    return find_in(g->members.data, g->members.size, handle, s);
}

Sub *router_find(Router *r, Subscriber *s, const SharedFilter &f) {
    uint32_t handle = filter_find(r, f.filter);
    if (handle == SLAB_NONE) return nullptr;
    Filter *filter = filter_at(r, handle);
    if (!f.share_name.empty()) return find_shared(r, filter, f.share_name, s);
    return find_in(filter->subs.begin(), filter->subs.size, handle, s);
}

static void set_options(Sub *sub, const SubOptions &o) {
    sub->id = o.id & 0xfffffffu;
    sub->qos = o.qos & 3u;
    sub->no_local = o.no_local;
    sub->retain_as_published = o.retain_as_published;
}

static void add_plain(Router *r, uint32_t handle, const Sub &sub) {
    Filter *f = filter_at(r, handle);
    few_push(&sub.subscriber->subs, SubRef{handle, f->subs.size & INT32_MAX, 0});
    few_push(&f->subs, sub);
}

static void add_shared(Router *r, Filter *f, Bytes name, const Sub &sub) {
    uint32_t handle = group_find(r, f, name);
    if (handle == SLAB_NONE) handle = group_new(r, f, name);
    Group *g = group_at(r, handle);
    few_push(&sub.subscriber->subs, SubRef{handle, g->members.size & INT32_MAX, 1});
    vec_push(&g->members, sub);
    r->shared++;
}

bool router_subscribe(Router *r, Subscriber *s, const SharedFilter &f, const SubOptions &o) {
    if (Sub *known = router_find(r, s, f)) {
        set_options(known, o);
        return false;
    }
    Sub sub;
    sub.subscriber = s;
    sub.back = s->subs.size;
    set_options(&sub, o);
    uint32_t handle = filter_find(r, f.filter);
    if (handle == SLAB_NONE) handle = filter_new(r, f.filter);
    if (f.share_name.empty())
        add_plain(r, handle, sub);
    else
        add_shared(r, filter_at(r, handle), f.share_name, sub);
    r->subscriptions++;
    return true;
}

// ---- removal ---------------------------------------------------------------

// The last of the list takes the place of the one that goes.
static void leave_filter(Filter *f, uint32_t index) {
    few_swap_remove(&f->subs, index);
    if (index == f->subs.size) return;
    const Sub &moved = f->subs[index];
    moved.subscriber->subs[moved.back].index = index & INT32_MAX;
}

// Members keep their order, and whose turn it is stays so; after the last one
// it is the first one's.
static void leave_group(Router *r, Group *g, uint32_t handle, uint32_t index) {
    r->shared--;
    vec_remove(&g->members, index);
    for (uint32_t i = index; i < g->members.size; i++) {
        const Sub &moved = g->members[i];
        moved.subscriber->subs[moved.back].index = i & INT32_MAX;
    }
    if (index < g->turn) g->turn--;
    if (g->turn >= g->members.size) g->turn = 0;
    if (!g->members.size) group_end(r, g, handle);
}

void router_remove(Router *r, Subscriber *s, uint32_t i) {
    SubRef ref = s->subs[i];
    Filter *f = router_filter(r, ref);
    if (ref.shared)
        leave_group(r, group_at(r, ref.list), ref.list, ref.index);
    else
        leave_filter(f, ref.index);
    few_swap_remove(&s->subs, i);
    if (i < s->subs.size) router_sub(r, s->subs[i])->back = i;
    r->subscriptions--;
    filter_tidy(r, f);
}

bool router_unsubscribe(Router *r, Subscriber *s, const SharedFilter &f) {
    Sub *sub = router_find(r, s, f);
    if (sub) router_remove(r, s, sub->back);
    return sub;
}

void router_remove_all(Router *r, Subscriber *s) {
    while (s->subs.size) router_remove(r, s, s->subs.size - 1);
    few_free(&s->subs);
}
