// broker/cursor.cpp -- retained messages that match a filter, one by one.
#include "broker/retained_inside.h"
#include "mqtt/topic.h"

// Where a cursor looks.
enum class Walk : uint8_t {
    Parent, // at one topic: the filter itself, or what stands before its `/#`
    Range,  // at all topics that begin with its literal part, in their order
    Word,   // at all topics that have one of its words, in the order of by_word
    Done,
};

struct RetainedCursor {
    Walk now = Walk::Done;
    Walk then = Walk::Done;    // after Parent
    bool matches_all = false;  // Range: all of it, without a look
    uint32_t prefix_size = 0;  // bytes of the filter before its first wildcard
    uint32_t filter_size = 0;
    uint64_t changes = 0;      // Range: of in_order, when `spot` was right
    OrderedSpot spot;          // Range: the place of `from`, if changes are the same
    Vec<char> from;            // Range: topics before this one have been looked at
    uint64_t word_from = 0;    // Word: the same
    uint64_t word_end = 0;     // Word: the first key behind
    char filter[1] = "";       // `filter_size` bytes, really
};

static Bytes filter_of(const RetainedCursor *c) { return {c->filter, c->filter_size}; }
static Bytes prefix_of(const RetainedCursor *c) { return {c->filter, c->prefix_size}; }
static Bytes from_of(const RetainedCursor *c) { return {c->from.data, c->from.size}; }

static void set_text(Vec<char> *v, Bytes head, Bytes tail) {
    auto n = static_cast<uint32_t>(head.size() + tail.size());
    if (n > v->capacity) vec_reserve(v, n + 32);
    if (!head.empty()) memcpy(v->data, head.data(), head.size());
    if (!tail.empty()) memcpy(v->data + head.size(), tail.data(), tail.size());
    v->size = n;
}

static void set_from(RetainedCursor *c, Bytes head, Bytes tail) {
    set_text(&c->from, head, tail);
}

// ---- the shortest way ------------------------------------------------------

// Number of topics that begin with the prefix, which is empty or ends in `/`.
static uint64_t range_size(const Retained *r, Bytes prefix) {
    if (prefix.empty()) return ordered_size(&r->in_order);
    Vec<char> text;
    set_text(&text, slice(prefix, 0, prefix.size() - 1), "0"); // what follows `/`
    Bytes behind(text.data, text.size);
    uint64_t n = ordered_rank(&r->in_order, &behind) - ordered_rank(&r->in_order, &prefix);
    vec_free(&text);
    return n;
}

// Takes the way through the word keys from `key` to before `end` (0: to the last
// one) if it is shorter than `best`.
static void try_word(const Retained *r, RetainedCursor *c, uint64_t key, uint64_t end,
                     uint64_t *best) {
    uint64_t behind = end ? ordered_rank(&r->by_word, &end) : ordered_size(&r->by_word);
    uint64_t n = behind - ordered_rank(&r->by_word, &key);
    if (n >= *best) return;
    *best = n;
    c->then = Walk::Word;
    c->word_from = key;
    c->word_end = end;
}

// Returns the number of topics on the way that was chosen.
static uint64_t choose(const Retained *r, RetainedCursor *c) {
    Bytes filter = filter_of(c);
    bool has_hash = filter.back() == '#';
    uint32_t n = level_count(filter) - (has_hash ? 1 : 0);
    uint64_t best = range_size(r, prefix_of(c));
    c->then = Walk::Range;
    TopicLevels levels = topic_levels(filter);
    Bytes text;
    for (uint32_t i = 0; i <= RETAINED_WORDS && topic_next_level(&levels, &text); i++) {
        if (!i || text == "+" || text == "#") continue;
        // Exactly as deep as the filter, or with `#` at least so.
        uint64_t key = word_key(r, text, i, n);
        uint64_t last = has_hash ? key | WORD_LEVELS : key;
        try_word(r, c, key, last + (1ull << 32), &best);
    }
    return best;
}

static uint32_t literal_size(Bytes filter) {
    uint32_t n = 0;
    while (n < filter.size() && filter[n] != '+' && filter[n] != '#') n++;
    return n;
}

// Prepares `now` and `then`. False when nothing can match.
static bool plan(Retained *r, RetainedCursor *c) {
    Bytes filter = filter_of(c), prefix = prefix_of(c);
    c->now = Walk::Parent;
    if (prefix.size() == filter.size()) return retained_get(r, filter);
    bool is_hash = filter[prefix.size()] == '#';
    c->matches_all = is_hash && !prefix.empty();
    uint64_t n = choose(r, c);
    // The parent is in no range of its children, but among the words.
    bool has_parent = c->then == Walk::Range && c->matches_all &&
                      retained_get(r, slice(prefix, 0, prefix.size() - 1));
    if (!has_parent) c->now = c->then;
    if (c->then == Walk::Range) set_from(c, prefix, {});
    return n || has_parent;
}

RetainedCursor *retained_cursor_begin(Retained *r, Bytes filter) {
    size_t size = offsetof(RetainedCursor, filter) + filter.size();
    if (size < sizeof(RetainedCursor)) size = sizeof(RetainedCursor);
    auto *c = new (mem_zero(size)) RetainedCursor;
    c->filter_size = static_cast<uint32_t>(filter.size());
    memcpy(c->filter, filter.data(), filter.size());
    c->prefix_size = literal_size(filter);
    if (plan(r, c)) return c;
    retained_cursor_end(r, c);
    return nullptr;
}

void retained_cursor_end(Retained *, RetainedCursor *c) {
    vec_free(&c->from);
    mem_free(c);
}

// ---- what cannot match -----------------------------------------------------

// Level `i` of the filter, a literal, is `wanted`; the topic has another text
// there, beginning at byte `at`. Goes on where the literal would be, or behind
// all topics that share the levels before.
static void skip_to_literal(RetainedCursor *c, Bytes topic, size_t at, Bytes wanted) {
    set_from(c, slice(topic, 0, at), wanted);
    if (topic < from_of(c)) return;
    vec_push(&c->from, '/');
    if (topic < from_of(c)) return;
    c->from.size = static_cast<uint32_t>(at);
    c->from[at - 1] = '0'; // for the `/` before
}

// The topic does not match the filter. Sets `from` behind it: as far as no other
// topic can match either.
static void skip(RetainedCursor *c, Bytes topic) {
    Bytes filter = filter_of(c);
    if (topic[0] == '$' && !c->prefix_size) return set_from(c, "%", {}); // `$` + 1
    TopicLevels wanted_levels = topic_levels(filter), levels = topic_levels(topic);
    Bytes wanted, level;
    while (topic_next_level(&levels, &level)) {
        auto at = static_cast<size_t>(level.data() - topic.data());
        if (!topic_next_level(&wanted_levels, &wanted)) // it is deeper than the filter
            return set_from(c, slice(topic, 0, at - 1), "0");
        if (wanted == "+" || wanted == level) continue;
        return skip_to_literal(c, topic, at, wanted);
    }
    set_from(c, topic, Bytes("\0", 1)); // not deep enough
}

// ---- steps -----------------------------------------------------------------

// Each looks at one topic: its message if it matches, or null.

static Message *step_parent(Retained *r, RetainedCursor *c) {
    c->now = c->then;
    bool is_literal = c->prefix_size == c->filter_size;
    return retained_get(r, slice(prefix_of(c), 0, c->prefix_size - (is_literal ? 0 : 1)));
}

static void find_spot(const Retained *r, RetainedCursor *c, bool is_near) {
    const Ordered &o = r->in_order;
    Bytes from = from_of(c);
    if (is_near && c->changes == o.changes)
        c->spot = ordered_seek_from(&o, c->spot, &from);
    else
        c->spot = ordered_seek(&o, &from);
    c->changes = o.changes;
}

static Message *step_range(Retained *r, RetainedCursor *c) {
    if (!c->spot.left || c->changes != r->in_order.changes) find_spot(r, c, false);
    Message *m = c->spot.left
                     ? retained_entry(r, static_cast<uint32_t>(*c->spot.at))
                     : nullptr;
    if (!m || !starts_with(message_topic(m), prefix_of(c))) {
        c->now = Walk::Done;
        return nullptr;
    }
    Bytes topic = message_topic(m);
    if (c->matches_all || topic_matches(filter_of(c), topic)) {
        set_from(c, topic, Bytes("\0", 1)); // the least that comes behind it
        c->spot.at++;
        c->spot.left--;
        return m;
    }
    skip(c, topic);
    find_spot(r, c, true);
    return nullptr;
}

static Message *step_word(Retained *r, RetainedCursor *c) {
    const Ordered &o = r->by_word;
    if (!c->spot.left || c->changes != o.changes) {
        c->spot = ordered_seek(&o, &c->word_from);
        c->changes = o.changes;
    }
    if (!c->spot.left || (c->word_end && *c->spot.at >= c->word_end)) {
        c->now = Walk::Done;
        return nullptr;
    }
    uint64_t key = *c->spot.at++;
    c->spot.left--;
    c->word_from = key + 1;
    Message *m = retained_entry(r, static_cast<uint32_t>(key));
    return topic_matches(filter_of(c), message_topic(m)) ? m : nullptr;
}

CursorStep retained_cursor_next(Retained *r, RetainedCursor *c, uint32_t *budget,
                                Message **out) {
    while (c->now != Walk::Done) {
        if (!*budget) return CursorStep::Again;
        --*budget;
        *out = c->now == Walk::Parent  ? step_parent(r, c)
               : c->now == Walk::Range ? step_range(r, c)
                                       : step_word(r, c);
        if (*out) return CursorStep::Found;
    }
    return CursorStep::End;
}
