#include <doctest/doctest.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "broker/router.h"
#include "broker/shapes.h"
#include "broker/slab.h"
#include "broker_topics.h"

using namespace broker_test;

namespace {

const HashKey KEY{11, 12};

// A router that must leave no memory behind.
struct Bench {
    size_t before = mem_used();
    Router *router = router_create(KEY);
    ~Bench() {
        router_free(router);
        CHECK(mem_used() == before);
    }
    bool subscribe(Subscriber *s, Bytes text, uint32_t id = 0) {
        SharedFilter f;
        REQUIRE(topic_subscription_parse(text, &f));
        SubOptions o;
        o.id = id;
        return router_subscribe(router, s, f, o);
    }
    bool unsubscribe(Subscriber *s, Bytes text) {
        SharedFilter f;
        REQUIRE(topic_subscription_parse(text, &f));
        return router_unsubscribe(router, s, f);
    }
    // The filters that match, sorted.
    std::vector<std::string> match(Bytes topic) {
        Vec<Filter *> found;
        router_match(router, topic, &found);
        std::vector<std::string> out;
        for (Filter *f : found) out.emplace_back(filter_text(f));
        vec_free(&found);
        std::sort(out.begin(), out.end());
        return out;
    }
    uint64_t lookups(Bytes topic) {
        uint64_t n = router_stats(router).lookups;
        match(topic);
        return router_stats(router).lookups - n;
    }
};

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("a filter without wildcards matches its own topic only [MQTT-4.7.3-4]") {
    Bench b;
    Subscriber s;
    CHECK(b.match("a") == Texts{});
    CHECK(b.subscribe(&s, "a/b"));
    CHECK(b.match("a/b") == Texts{"a/b"});
    CHECK(b.match("a/B") == Texts{});
    CHECK(b.match("a/b/") == Texts{});
    CHECK(b.match("/a/b") == Texts{});
    CHECK(b.match("b/a") == Texts{});
    router_remove_all(b.router, &s);
    CHECK(b.match("a/b") == Texts{});
}

TEST_CASE("# matches its parent and any number of levels [MQTT-4.7.1-2]") {
    Bench b;
    Subscriber s;
    b.subscribe(&s, "sport/tennis/#");
    b.subscribe(&s, "#");
    b.subscribe(&s, "/#");
    CHECK(b.match("sport/tennis") == Texts{"#", "sport/tennis/#"});
    CHECK(b.match("sport/tennis/a/b") == Texts{"#", "sport/tennis/#"});
    CHECK(b.match("sport") == Texts{"#"});
    CHECK(b.match("sport/tennisx") == Texts{"#"});
    CHECK(b.match("/x") == Texts{"#", "/#"});
    router_remove_all(b.router, &s);
}

TEST_CASE("+ matches one level, an empty one too [MQTT-4.7.1-3]") {
    Bench b;
    Subscriber s;
    for (const char *f : {"+", "+/+", "/+", "a/+", "+/b/+", "+/#"}) b.subscribe(&s, f);
    CHECK(b.match("a") == Texts{"+", "+/#"});
    CHECK(b.match("/a") == Texts{"+/#", "+/+", "/+"});
    CHECK(b.match("a/") == Texts{"+/#", "+/+", "a/+"});
    CHECK(b.match("a/b/") == Texts{"+/#", "+/b/+"});
    router_remove_all(b.router, &s);
}

TEST_CASE("wildcards at the first level do not match $ names [MQTT-4.7.2-1]") {
    Bench b;
    Subscriber s;
    for (const char *f : {"#", "+/x", "$SYS/#", "$SYS/+", "+/#"}) b.subscribe(&s, f);
    CHECK(b.match("$SYS/x") == Texts{"$SYS/#", "$SYS/+"});
    CHECK(b.match("a/$SYS") == Texts{"#", "+/#"});
    router_remove_all(b.router, &s);
}

TEST_CASE("subscribing again replaces the options [MQTT-3.8.4-3]") {
    Bench b;
    Subscriber s, other;
    SharedFilter f{"", "a/+"};
    SubOptions o{5, 1, true, false};
    CHECK(router_subscribe(b.router, &s, f, o));
    CHECK(router_subscribe(b.router, &other, f, o));
    CHECK_FALSE(router_subscribe(b.router, &s, f, SubOptions{6, 2, false, true}));
    const Sub *sub = router_find(b.router, &s, f);
    REQUIRE(sub);
    CHECK((sub->id == 6));
    CHECK((sub->qos == 2));
    CHECK((sub->no_local == 0));
    CHECK((sub->retain_as_published == 1));
    CHECK((router_find(b.router, &other, f)->id == 5));
    CHECK(router_stats(b.router).subscriptions == 2);
    CHECK(router_stats(b.router).filters == 1);
    CHECK_FALSE(b.unsubscribe(&s, "a/b"));
    CHECK(b.unsubscribe(&s, "a/+"));
    CHECK_FALSE(b.unsubscribe(&s, "a/+"));
    router_remove_all(b.router, &other);
}

TEST_CASE("a group keeps its members in order and its turn through removals") {
    Bench b;
    Subscriber s[5];
    for (Subscriber &x : s) CHECK(b.subscribe(&x, "$share/g/t/+"));
    CHECK(b.subscribe(&s[0], "$share/h/t/+"));
    CHECK(b.subscribe(&s[0], "t/+")); // [MQTT-4.8.2-4]: apart from the shared ones
    CHECK(b.match("t/x") == Texts{"t/+"});
    Group *g = router_group(b.router, s[4].subs[0]);
    REQUIRE(g);
    CHECK(g->members.size == 5);
    CHECK(router_filter(b.router, s[4].subs[0]) == g->filter);
    g->turn = 3;
    CHECK(b.unsubscribe(&s[1], "$share/g/t/+"));
    CHECK(g->members[g->turn].subscriber == &s[3]);
    CHECK(b.unsubscribe(&s[3], "$share/g/t/+")); // its own turn: the next one's
    CHECK(g->members[g->turn].subscriber == &s[4]);
    CHECK(b.unsubscribe(&s[4], "$share/g/t/+")); // the last: the first one's
    CHECK(g->members[g->turn].subscriber == &s[0]);
    CHECK(g->members[1].subscriber == &s[2]);
    CHECK(router_sub(b.router, s[2].subs[0]) == &g->members[1]);
    CHECK(router_stats(b.router).shared == 3);
    CHECK(b.unsubscribe(&s[0], "t/+"));
    CHECK(b.match("t/x") == Texts{"t/+"}); // for the groups
    for (Subscriber &x : s) router_remove_all(b.router, &x);
    CHECK(b.match("t/x") == Texts{});
    CHECK(router_stats(b.router).filters == 0);
    CHECK(router_stats(b.router).shapes == 0);
}

TEST_CASE("filters and topics of 201 levels and 65,535 bytes match") {
    Bench b;
    Subscriber s;
    std::string deep(200, '/'), plus, mixed;
    for (int i = 0; i <= 200; i++) {
        plus += i ? "/+" : "+";
        mixed += i ? (i % 2 ? "/+" : "/") : "";
    }
    std::string high = deep.substr(0, 199) + "/#", longest(65535, 'x');
    for (const std::string &f : {deep, plus, mixed, high, longest}) b.subscribe(&s, f);
    CHECK(b.match(deep).size() == 4);
    CHECK(b.match(deep.substr(1)) == Texts{high});
    CHECK(b.match(longest) == Texts{longest});
    // A mount point of 255 slashes may come on top.
    std::string mounted(455, '/');
    router_subscribe(b.router, &s, SharedFilter{"", mounted + "+"}, {});
    router_subscribe(b.router, &s, SharedFilter{"", mounted + "#"}, {});
    CHECK(b.match(mounted).size() == 3); // and `high`
    router_remove_all(b.router, &s);
}

// ---- cost ------------------------------------------------------------------

TEST_CASE("the number of look-ups does not depend on the number of subscriptions") {
    Bench b;
    std::vector<Subscriber> s(100);
    auto fill = [&](int from, int to) {
        for (int i = from; i < to; i++) {
            std::string n = std::to_string(i);
            b.subscribe(&s[static_cast<size_t>(i % 100)], "dev/" + n + "/temp");
            b.subscribe(&s[static_cast<size_t>(i % 100)], "dev/" + n + "/+");
            b.subscribe(&s[static_cast<size_t>(i % 100)], "dev/" + n + "/#");
        }
    };
    fill(0, 100);
    CHECK(b.match("dev/7/temp").size() == 3);
    uint64_t few = b.lookups("dev/7/temp");
    CHECK(few == 3);
    fill(100, 20000);
    CHECK(b.match("dev/7/temp").size() == 3);
    CHECK(b.lookups("dev/7/temp") == few);
    CHECK(b.lookups("dev/none/temp") == few);
    for (Subscriber &x : s) router_remove_all(b.router, &x);
}

TEST_CASE("10,000 hostile shapes cost a publish few look-ups") {
    Bench b;
    Subscriber s;
    auto subscribe = [&](const char *literal) {
        for (uint32_t mask = 1; mask <= 10000; mask++) {
            std::string f;
            for (uint32_t i = 0; i < 14; i++)
                f += std::string(i ? "/" : "") + (mask >> i & 1 ? "+" : literal);
            b.subscribe(&s, f);
        }
    };
    subscribe("x");
    CHECK(router_stats(b.router).shapes == 10000);
    CHECK(b.lookups("a/b/c") == 1);
    // As deep as the hostile ones, but of other texts: one cue in 64 passes.
    CHECK(b.lookups("a/b/c/d/e/f/g/h/i/j/k/l/m/n") < 1000);
    router_remove_all(b.router, &s);
    CHECK(router_stats(b.router).shapes == 0);
}

TEST_CASE("bytes per subscription") {
    Bench b;
    const size_t n = getenv("KNUT_LONG") ? 1000000 : 24000; // no table is moving then
    std::vector<Subscriber> s(n / 1000);
    size_t before = mem_used();
    char topic[64];
    for (size_t i = 0; i < n; i++) {
        snprintf(topic, sizeof topic, "site/%zu/device/%06zu", i % 10, i);
        b.subscribe(&s[i % s.size()], topic);
    }
    double each = static_cast<double>(mem_used() - before) / static_cast<double>(n);
    printf("router: %.1f bytes per subscription of %zu, filters of 20 bytes\n", each, n);
    CHECK(each <= 100);
    for (Subscriber &x : s) router_remove_all(b.router, &x);
}

TEST_CASE("a subscriber of one filter needs no list of its own") {
    Bench b;
    Subscriber s;
    b.subscribe(&s, "a");
    size_t with_one = mem_used();
    b.subscribe(&s, "b");
    b.unsubscribe(&s, "a");
    CHECK(mem_used() == with_one);
    CHECK(s.subs.capacity == 0);
    router_remove_all(b.router, &s);
}

// ---- against a list --------------------------------------------------------

namespace {

struct ModelSub {
    size_t client;
    std::string share, filter;
    uint32_t id;
};

// Group turns: who is next, by (share, filter), is told by the router itself;
// the model holds what it should become at a removal.
struct Model {
    Bench bench;
    Random random;
    std::vector<std::unique_ptr<Subscriber>> clients;
    std::vector<ModelSub> subs; // in the order of subscribing
    std::vector<std::string> filters;
    uint32_t next_id = 1;

    Model() {
        for (int i = 0; i < 8; i++) clients.push_back(std::make_unique<Subscriber>());
        for (int i = 0; i < 60; i++) filters.push_back(random_filter(random));
    }
    ~Model() {
        for (auto &c : clients) router_remove_all(bench.router, c.get());
    }

    size_t find(size_t client, const std::string &share, const std::string &filter) {
        for (size_t i = 0; i < subs.size(); i++)
            if (subs[i].client == client && subs[i].share == share && subs[i].filter == filter)
                return i;
        return subs.size();
    }
    std::string any_share() {
        return random.one_in(2) ? "" : random.one_in(2) ? "g" : "h";
    }
    void subscribe() {
        size_t client = random.below(clients.size());
        std::string share = any_share(), filter = filters[random.below(filters.size())];
        uint32_t id = next_id++;
        size_t known = find(client, share, filter);
        bool is_new = router_subscribe(bench.router, clients[client].get(),
                                       SharedFilter{share, filter}, SubOptions{id});
        REQUIRE(is_new == (known == subs.size()));
        if (is_new)
            subs.push_back({client, share, filter, id});
        else
            subs[known].id = id;
    }
    std::vector<size_t> members(const std::string &share, const std::string &filter) {
        std::vector<size_t> out;
        for (const ModelSub &s : subs)
            if (s.share == share && s.filter == filter) out.push_back(s.client);
        return out;
    }
    Group *group(size_t client, const std::string &share, const std::string &filter) {
        Sub *sub = router_find(bench.router, clients[client].get(), {share, filter});
        return sub ? router_group(bench.router, clients[client]->subs[sub->back]) : nullptr;
    }
    // Whose turn it is after `client` has left.
    size_t next_turn(const ModelSub &leaving, Group *g) {
        std::vector<size_t> all = members(leaving.share, leaving.filter);
        size_t turn = all[g->turn];
        if (turn != leaving.client) return turn;
        return all[(g->turn + 1) % all.size()];
    }
    void forget(size_t i) { subs.erase(subs.begin() + static_cast<ptrdiff_t>(i)); }
    void unsubscribe() {
        size_t client = random.below(clients.size());
        std::string share = any_share(), filter = filters[random.below(filters.size())];
        size_t known = find(client, share, filter);
        bool is_there = known < subs.size();
        size_t turn = 0;
        if (is_there && !share.empty()) {
            Group *g = group(client, share, filter);
            g->turn = static_cast<uint32_t>(random.below(g->members.size));
            turn = next_turn(subs[known], g);
        }
        REQUIRE(router_unsubscribe(bench.router, clients[client].get(), {share, filter}) ==
                is_there);
        if (!is_there) return;
        forget(known);
        std::vector<size_t> left = members(share, filter);
        if (share.empty() || left.empty()) return;
        Group *g = group(left[0], share, filter);
        REQUIRE(g->members[g->turn].subscriber == clients[turn].get());
    }
    void remove_all() {
        size_t client = random.below(clients.size());
        router_remove_all(bench.router, clients[client].get());
        for (size_t i = subs.size(); i-- > 0;)
            if (subs[i].client == client) forget(i);
    }

    // (filter, share, position, client, id)
    using Row = std::tuple<std::string, std::string, size_t, const void *, uint32_t>;
    void add_rows(std::vector<Row> *rows, const Filter *f) {
        std::string filter(filter_text(f));
        for (const Sub &s : f->subs) rows->emplace_back(filter, "", 0, s.subscriber, s.id);
        for (const Group *g = f->groups; g; g = g->next)
            for (size_t i = 0; i < g->members.size; i++)
                rows->emplace_back(filter, std::string(g->name, g->name_size), i,
                                   g->members[i].subscriber, g->members[i].id);
    }
    void match() {
        std::string topic = random.one_in(3) ? matching_topic() : random_topic(random);
        std::vector<Row> want, got;
        for (const ModelSub &s : subs) {
            if (!naive_match(s.filter, topic)) continue;
            size_t at = 0;
            if (!s.share.empty()) {
                std::vector<size_t> all = members(s.share, s.filter);
                while (all[at] != s.client) at++;
            }
            want.emplace_back(s.filter, s.share, at, clients[s.client].get(), s.id);
        }
        Vec<Filter *> found;
        router_match(bench.router, topic, &found);
        for (const Filter *f : found) add_rows(&got, f);
        vec_free(&found);
        std::sort(want.begin(), want.end());
        std::sort(got.begin(), got.end());
        CAPTURE(topic);
        REQUIRE(got == want);
    }
    std::string matching_topic() {
        std::vector<std::string> levels = split(filters[random.below(filters.size())]);
        for (std::string &l : levels)
            if (l == "+" || l == "#") l = random_level(random);
        std::string topic = join(levels);
        return topic.empty() ? "a" : topic;
    }
    void check_lists() {
        RouterStats stats = router_stats(bench.router);
        REQUIRE(stats.subscriptions == subs.size());
        uint64_t shared = 0;
        std::vector<std::string> distinct;
        for (const ModelSub &s : subs) {
            shared += !s.share.empty();
            distinct.push_back(s.filter);
            Sub *sub = router_find(bench.router, clients[s.client].get(), {s.share, s.filter});
            REQUIRE(sub);
            REQUIRE((sub->id == s.id));
            const SubRef &ref = clients[s.client]->subs[sub->back];
            REQUIRE(router_sub(bench.router, ref) == sub);
            REQUIRE(filter_text(router_filter(bench.router, ref)) == s.filter);
        }
        std::sort(distinct.begin(), distinct.end());
        distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
        REQUIRE(stats.filters == distinct.size());
        REQUIRE(stats.shared == shared);
        uint64_t walked = 0;
        router_each(
            bench.router, [](void *n, const Filter *) { ++*static_cast<uint64_t *>(n); },
            &walked);
        REQUIRE(walked == distinct.size());
    }
};

} // namespace

TEST_CASE("the router does what a list of subscriptions does") {
    Model m;
    INFO("KNUT_SEED=", m.random.seed);
    for (int step = 0; step < (getenv("KNUT_LONG") ? 60000 : 3000); step++) {
        uint64_t what = m.random.below(100);
        if (what < 35)
            m.subscribe();
        else if (what < 60)
            m.unsubscribe();
        else if (what < 62)
            m.remove_all();
        else
            m.match();
        if (step % 200 == 0) m.check_lists();
        if (m.random.one_in(40)) m.filters[m.random.below(60)] = random_filter(m.random);
    }
}

TEST_CASE("blocks of a slab keep their contents and give their pages back") {
    size_t before = mem_used();
    Random random;
    INFO("KNUT_SEED=", random.seed);
    Slab slab;
    slab_init(&slab);
    struct Block {
        uint32_t handle;
        std::string text;
    };
    std::vector<Block> blocks;
    for (int step = 0; step < (getenv("KNUT_LONG") ? 100000 : 8000); step++) {
        bool grows = step < 15000;
        if (random.below(10) < (grows ? 7 : 3)) {
            size_t size = random.one_in(20) ? 1 + random.below(5000) : 1 + random.below(100);
            std::string text(size, static_cast<char>('a' + random.below(26)));
            uint32_t handle;
            memcpy(slab_alloc(&slab, size, &handle), text.data(), size);
            blocks.push_back({handle, text});
        } else if (!blocks.empty()) {
            size_t i = random.below(blocks.size());
            const Block &b = blocks[i];
            REQUIRE(memcmp(slab_at(&slab, b.handle), b.text.data(), b.text.size()) == 0);
            slab_free(&slab, b.handle);
            blocks[i] = blocks.back();
            blocks.pop_back();
        }
    }
    for (const Block &b : blocks) {
        REQUIRE(memcmp(slab_at(&slab, b.handle), b.text.data(), b.text.size()) == 0);
        slab_free(&slab, b.handle);
    }
    CHECK(mem_used() == before);
}
