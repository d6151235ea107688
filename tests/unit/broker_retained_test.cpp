#include <doctest/doctest.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mem.h"
#include "broker/ordered.h"
#include "broker/retained.h"
#include "broker_topics.h"

using namespace broker_test;

namespace {

const HashKey KEY{21, 22};
using Texts = std::vector<std::string>;

// A store that must leave no memory and no message behind.
struct Bench {
    size_t before = mem_used();
    MessageStats stats;
    Retained *store = retained_create(KEY, &stats);
    uint64_t seq = 0;

    ~Bench() {
        retained_free(store);
        CHECK(stats.count == 0);
        CHECK(stats.bytes == 0);
        CHECK(mem_used() == before);
    }
    void set(Bytes topic, Bytes payload = "x", uint64_t expires_ms = NEVER_MS) {
        MessageParts parts;
        parts.topic = topic;
        parts.payload = payload;
        parts.retain = true;
        Message *m = message_new(parts, ++seq, 0, &stats);
        REQUIRE(m);
        m->expires_ms = expires_ms;
        retained_set(store, m);
        message_release(m, &stats);
    }
    // The topics that match in the order of the cursor. `steps` gets what it took.
    Texts match(Bytes filter, uint32_t *steps = nullptr) {
        Texts out;
        uint32_t budget = UINT32_MAX;
        RetainedCursor *c = retained_cursor_begin(store, filter);
        Message *m = nullptr;
        while (c && retained_cursor_next(store, c, &budget, &m) == CursorStep::Found)
            out.emplace_back(message_topic(m));
        if (c) retained_cursor_end(store, c);
        if (steps) *steps = UINT32_MAX - budget;
        return out;
    }
};

Texts sorted(Texts t) {
    std::sort(t.begin(), t.end());
    return t;
}

} // namespace

TEST_CASE("a topic has one retained message, the last [MQTT-3.3.1-5]") {
    Bench b;
    CHECK(retained_get(b.store, "a/b") == nullptr);
    b.set("a/b", "one");
    b.set("a/c", "other");
    b.set("a/b", "second");
    CHECK(message_payload(retained_get(b.store, "a/b")) == "second");
    CHECK(message_payload(retained_get(b.store, "a/c")) == "other");
    CHECK(retained_get(b.store, "a") == nullptr);
    CHECK(retained_count(b.store) == 2);
    CHECK(retained_bytes(b.store) == 11);
    CHECK(b.stats.count == 2);
    CHECK(retained_remove(b.store, "a/b"));
    CHECK_FALSE(retained_remove(b.store, "a/b"));
    CHECK(retained_count(b.store) == 1);
    CHECK(retained_bytes(b.store) == 5);
}

TEST_CASE("removing the last message gives all memory back") {
    Bench b;
    size_t empty = mem_used();
    b.set("a/b/c/d");
    CHECK(retained_remove(b.store, message_topic(retained_get(b.store, "a/b/c/d"))));
    CHECK(mem_used() == empty);
}

TEST_CASE("a cursor finds what the filter matches, parents first [MQTT-4.7.1-2, -3]") {
    Bench b;
    for (const char *t : {"a", "a/b", "a/b/c", "a!", "a!/b", "a0", "/", "/b", "b/b/c", "$S/b", "a/"})
        b.set(t);
    CHECK(b.match("a") == Texts{"a"});
    CHECK(b.match("x") == Texts{});
    CHECK(b.match("a/#") == Texts{"a", "a/", "a/b", "a/b/c"});
    CHECK(sorted(b.match("+")) == Texts{"a", "a!", "a0"});
    CHECK(sorted(b.match("+/b")) == Texts{"/b", "a!/b", "a/b"});
    CHECK(sorted(b.match("+/+")) == Texts{"/", "/b", "a!/b", "a/", "a/b"});
    CHECK(b.match("/#") == Texts{"/", "/b"});
    CHECK(b.match("$S/#") == Texts{"$S/b"}); // [MQTT-4.7.2-1]
    CHECK(b.match("#").size() == 10);
    CHECK(sorted(b.match("+/b/#")) == Texts{"/b", "a!/b", "a/b", "a/b/c", "b/b/c"});
    CHECK(sorted(b.match("+/+/c")) == Texts{"a/b/c", "b/b/c"});
    CHECK(b.match("a/+/x") == Texts{});
    CHECK(b.match("q/#") == Texts{});
}

TEST_CASE("a filter that nothing matches needs no cursor") {
    Bench b;
    CHECK(retained_cursor_begin(b.store, "#") == nullptr);
    b.set("a/b");
    CHECK(retained_cursor_begin(b.store, "a") == nullptr);
    CHECK(retained_cursor_begin(b.store, "b/#") == nullptr);
    CHECK(retained_cursor_begin(b.store, "+/c") == nullptr);
    CHECK(retained_cursor_begin(b.store, "a/b/+") == nullptr);
}

TEST_CASE("a cursor that runs out of its budget goes on later") {
    Bench b;
    for (int i = 0; i < 100; i++) b.set("t/" + std::to_string(i));
    RetainedCursor *c = retained_cursor_begin(b.store, "t/+");
    REQUIRE(c);
    std::set<std::string> seen;
    CursorStep step = CursorStep::Again;
    for (int turns = 0; step != CursorStep::End; turns++) {
        REQUIRE(turns < 100);
        uint32_t budget = 3;
        Message *m = nullptr;
        while ((step = retained_cursor_next(b.store, c, &budget, &m)) == CursorStep::Found)
            CHECK(seen.insert(std::string(message_topic(m))).second);
    }
    CHECK(seen.size() == 100);
    retained_cursor_end(b.store, c);
}

TEST_CASE("what has expired is removed as the store is gone round") {
    Bench b;
    for (uint64_t i = 0; i < 1000; i++)
        b.set("t/" + std::to_string(i), "x", i % 2 ? NEVER_MS : 100 + i);
    CHECK(retained_expire(b.store, 99, 10000) == 0);
    uint32_t removed = 0;
    for (int i = 0; i < 40; i++) removed += retained_expire(b.store, 600, 100);
    CHECK(removed == 251);
    CHECK(retained_count(b.store) == 749);
    for (int i = 0; i < 40; i++) retained_expire(b.store, 5000, 100);
    CHECK(retained_count(b.store) == 500);
    CHECK(retained_expire(b.store, 5000, 0) == 0);
}

TEST_CASE("topics of 201 levels and 65,535 bytes are kept and found") {
    Bench b;
    std::string deep(200, '/'), longest(65535, 'x'), plus;
    for (int i = 0; i <= 200; i++) plus += i ? "/+" : "+";
    b.set(deep);
    b.set(longest);
    CHECK(b.match(plus) == Texts{deep});
    CHECK(b.match(deep.substr(1) + "/#") == Texts{deep});
    CHECK(b.match("+") == Texts{longest});
    CHECK(retained_remove(b.store, deep));
    CHECK(b.match("#") == Texts{longest});
}

// ---- cost ------------------------------------------------------------------

TEST_CASE("a filter that matches ten of 100,000 looks at few") {
    Bench b;
    for (int i = 0; i < 25000; i++) {
        std::string dev = "dev/" + std::to_string(i) + "/";
        for (const char *leaf : {"temp", "state/on", "a/b/c"}) b.set(dev + leaf);
        b.set("x" + std::to_string(i) + "/k" + std::to_string(i / 10) + "/v");
    }
    for (int i = 0; i < 10; i++) b.set("dev/" + std::to_string(i * 2000) + "/rare");
    for (int i = 0; i < 10; i++) b.set("dev/" + std::to_string(i) + "/rare/deep/" +
                                       std::to_string(i));
    for (int i = 0; i < 10; i++) b.set("dev/7/t" + std::to_string(i) + "/u");
    struct {
        const char *filter;
        size_t count;
    } const rows[] = {
        {"dev/+/rare", 10},     {"+/+/rare", 10},         {"+/+/rare/deep/+", 10},
        {"+/+/rare/#", 20},     {"dev/+/rare/deep/#", 10}, {"+/k77/+", 10},
        {"+/k77/#", 10},        {"+/k77/v", 10},          {"dev/7/+/u", 10},
        {"dev/+/+/deep/#", 10}, {"x7/#", 1},              {"x77/+/+", 1},
        {"dev/12345/#", 3},     {"dev/12345/+", 1},       {"dev/+/+/+/3", 1},
        {"+/12345/#", 3},       {"dev/+/temp/#", 25000},
    };
    for (const auto &row : rows) {
        CAPTURE(row.filter);
        uint32_t steps = 0;
        CHECK(b.match(row.filter, &steps).size() == row.count);
        CHECK(steps <= row.count * 2 + 10);
    }
    // A range whose subtrees are skipped: the children of two levels.
    uint32_t steps = 0;
    CHECK(b.match("+", &steps).size() == 0);
    CHECK(steps <= 2 * 25001 + 10);
}

TEST_CASE("bytes per retained message") {
    const size_t n = getenv("KNUT_LONG") ? 1000000 : 24000; // no table is moving then
    for (int levels : {1, 3, 4, 5}) {
        Bench b;
        std::string payload(64, 'p');
        size_t before = mem_used(), topics = 0;
        char topic[64];
        for (size_t i = 0; i < n; i++) {
            const char *head = levels == 1   ? "retained-message-"
                               : levels == 3 ? "site/dev-"
                               : levels == 4 ? "home/"
                                             : "eu/home/";
            snprintf(topic, sizeof topic, "%s%zu%s%06zu%s", head, i % 10,
                     levels > 3 ? "/" : "-", i, levels > 1 ? "/temperature" : "");
            topics += strlen(topic);
            b.set(topic, payload);
        }
        double count = static_cast<double>(n);
        double each = static_cast<double>(mem_used() - before) / count + 8; // malloc's own
        printf("retained: %.1f bytes per message of %zu, topics of %.0f bytes and %d "
               "levels, payload 64\n",
               each, n, static_cast<double>(topics) / count, levels);
        CHECK(each <= 220);
    }
}

// ---- against a map ---------------------------------------------------------

namespace {

struct ModelCursor {
    RetainedCursor *cursor;
    std::string filter;
    std::set<std::string> wanted; // there since the beginning, and matching
    std::set<std::string> seen;   // found, and not removed since
};

struct Model {
    Bench bench;
    Random random;
    std::map<std::string, uint64_t> messages; // topic -> seq
    std::vector<ModelCursor> cursors;
    std::vector<std::string> topics; // so that some come again

    Model() {
        for (int i = 0; i < 400; i++) topics.push_back(random_topic(random));
    }
    ~Model() {
        for (ModelCursor &c : cursors) retained_cursor_end(bench.store, c.cursor);
    }
    const std::string &any_topic() { return topics[random.below(topics.size())]; }

    void set() {
        const std::string &topic = any_topic();
        bench.set(topic);
        messages[topic] = bench.seq;
    }
    void remove() {
        std::string topic = any_topic();
        REQUIRE(retained_remove(bench.store, topic) == (messages.erase(topic) == 1));
        for (ModelCursor &c : cursors) {
            c.wanted.erase(topic);
            c.seen.erase(topic);
        }
    }
    void get() {
        const std::string &topic = any_topic();
        Message *m = retained_get(bench.store, topic);
        REQUIRE((m != nullptr) == (messages.count(topic) == 1));
        if (m) REQUIRE(m->seq == messages[topic]);
    }
    std::string any_filter() {
        if (random.one_in(2)) return random_filter(random);
        std::vector<std::string> levels = split(any_topic());
        for (std::string &l : levels)
            if (random.one_in(3)) l = "+";
        if (random.one_in(4)) levels.back() = "#";
        if (random.one_in(4)) levels.resize(1 + random.below(levels.size()));
        if (random.one_in(4)) levels.push_back("#");
        for (size_t i = 0; i + 1 < levels.size(); i++)
            if (levels[i] == "#") levels[i] = "+";
        std::string filter = join(levels);
        return filter.empty() ? "+" : filter;
    }
    void begin() {
        ModelCursor c{nullptr, any_filter(), {}, {}};
        for (const auto &[topic, seq] : messages)
            if (naive_match(c.filter, topic)) c.wanted.insert(topic);
        CAPTURE(c.filter);
        c.cursor = retained_cursor_begin(bench.store, c.filter);
        if (c.cursor)
            cursors.push_back(c);
        else
            REQUIRE(c.wanted.empty());
    }
    void found(ModelCursor *c, const Message *m) {
        std::string topic(message_topic(m));
        CAPTURE(topic);
        REQUIRE(naive_match(c->filter, topic));
        REQUIRE(messages.count(topic) == 1);
        REQUIRE(messages[topic] == m->seq);
        REQUIRE(c->seen.insert(topic).second);
        if (!c->wanted.count(topic)) return;
        // It was there all the time: none of its children came first.
        auto child = c->seen.lower_bound(topic + "/");
        REQUIRE((child == c->seen.end() ||
                 child->compare(0, topic.size() + 1, topic + "/") != 0));
    }
    // Goes on with one cursor for a few steps; false at its end.
    bool go_on(ModelCursor *c) {
        auto budget = static_cast<uint32_t>(random.below(40));
        Message *m = nullptr;
        CAPTURE(c->filter);
        for (int n = 0; n < 10; n++) {
            switch (retained_cursor_next(bench.store, c->cursor, &budget, &m)) {
            case CursorStep::Found: found(c, m); break;
            case CursorStep::Again: REQUIRE(budget == 0); return true;
            case CursorStep::End:
                for (const std::string &topic : c->wanted) {
                    CAPTURE(topic);
                    REQUIRE(c->seen.count(topic) == 1);
                }
                return false;
            }
        }
        return true;
    }
    void step_cursor() {
        if (cursors.empty()) return;
        size_t i = random.below(cursors.size());
        if (go_on(&cursors[i]) && !random.one_in(200)) return;
        retained_cursor_end(bench.store, cursors[i].cursor);
        cursors.erase(cursors.begin() + static_cast<ptrdiff_t>(i));
    }
    void step() {
        uint64_t what = random.below(100);
        if (what < 30)
            set();
        else if (what < 45)
            remove();
        else if (what < 50)
            get();
        else if (what < 60 && cursors.size() < 20)
            begin();
        else
            step_cursor();
    }
};

} // namespace

TEST_CASE("the store and its cursors do what a map and a list do") {
    Model m;
    INFO("KNUT_SEED=", m.random.seed);
    for (int i = 0; i < (getenv("KNUT_LONG") ? 100000 : 5000); i++) {
        m.step();
        REQUIRE(retained_count(m.bench.store) == m.messages.size());
        if (m.random.one_in(100)) m.topics[m.random.below(400)] = random_topic(m.random);
        if (m.random.one_in(3000)) // topics that nobody can remove any more
            while (!m.messages.empty()) {
                std::string topic = m.messages.begin()->first;
                m.topics[0] = topic;
                REQUIRE(retained_remove(m.bench.store, topic));
                m.messages.erase(topic);
                for (ModelCursor &c : m.cursors) {
                    c.wanted.erase(topic);
                    c.seen.erase(topic);
                }
            }
    }
}

namespace {

int compare_numbers(const void *, const void *probe, uint64_t key) {
    uint64_t a = *static_cast<const uint64_t *>(probe);
    return a < key ? -1 : a > key;
}

void check_order(Ordered *o, const std::set<uint64_t> &model, Random &random) {
    uint64_t probe = random.below(1 << 16), at = probe;
    REQUIRE(ordered_size(o) == model.size());
    REQUIRE(ordered_rank(o, &probe) ==
            static_cast<uint64_t>(std::distance(model.begin(), model.lower_bound(probe))));
    OrderedSpot spot = ordered_seek(o, &probe);
    auto want = model.lower_bound(probe);
    for (int n = 0; n < 300 && want != model.end(); n++, ++want) {
        REQUIRE(spot.left > 0);
        REQUIRE(*spot.at == *want);
        at = *want + 1;
        spot = ordered_seek_from(o, spot, &at);
    }
    if (want == model.end()) REQUIRE(spot.left == 0);
}

} // namespace

TEST_CASE("an ordered set does what a std::set does") {
    size_t before = mem_used();
    Random random;
    INFO("KNUT_SEED=", random.seed);
    Ordered o;
    o.compare = compare_numbers;
    std::set<uint64_t> model;
    uint64_t rising = 0;
    for (int i = 0; i < (getenv("KNUT_LONG") ? 200000 : 15000); i++) {
        bool grows = i / 15000 % 2 == 0;
        uint64_t key = random.one_in(3) ? rising++ % (1 << 16) : random.below(1 << 16);
        if (random.below(10) < (grows ? 8 : 2)) {
            if (model.insert(key).second) ordered_insert(&o, &key, key);
        } else {
            auto it = model.lower_bound(key);
            if (it != model.end()) key = *it;
            REQUIRE(ordered_remove(&o, &key) == (it != model.end()));
            if (it != model.end()) model.erase(it);
        }
        if (i % 50 == 0) check_order(&o, model, random);
    }
    ordered_free(&o);
    CHECK(mem_used() == before);
}
