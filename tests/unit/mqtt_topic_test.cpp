// Topic names, filters and matching.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

bool match(const std::string &filter, const std::string &topic) {
    Exact f(filter), t(topic);
    return topic_matches(f.bytes, t.bytes);
}

bool subscription_ok(const std::string &text) {
    Exact in(text);
    SharedFilter out;
    return topic_subscription_parse(in.bytes, &out);
}

std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> levels(1);
    for (char c : text) {
        if (c == '/') levels.emplace_back();
        else levels.back() += c;
    }
    return levels;
}

// The standard's words, one level at a time.
bool naive_match(const std::vector<std::string> &f, size_t i, const std::vector<std::string> &t,
                 size_t j) {
    if (i == f.size()) return j == t.size();
    if (f[i] == "#") return true;
    if (j == t.size()) return false;
    return (f[i] == "+" || f[i] == t[j]) && naive_match(f, i + 1, t, j + 1);
}

bool naive(const std::string &filter, const std::string &topic) {
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) return false;
    return naive_match(split(filter), 0, split(topic), 0);
}

struct Row {
    const char *filter;
    std::vector<const char *> matches, misses;
};

} // namespace

TEST_CASE("[MQTT-4.7.1-1, -2, 4.7.2-1, 4.7.3-4] the table of matches holds") {
    const Row rows[] = {
        {"a/b/#", {"a/b", "a/b/", "a/b/c", "a/b/c/d"}, {"a", "a/bc"}},
        {"#", {"a", "/", "/a", "a/b"}, {"$SYS", "$SYS/x"}},
        {"+", {"a"}, {"/a", "a/", "/", "$SYS"}},
        {"/+", {"/a", "/"}, {"a"}},
        {"+/+", {"/a", "a/", "a/b", "/"}, {"a", "a/b/c", "$SYS/x"}},
        {"a/+", {"a/b", "a/"}, {"a", "a/b/c"}},
        {"a/+/c", {"a/b/c", "a//c"}, {"a/c", "A/b/c"}},
        {"+/x/#", {"a/x", "a/x/y", "/x"}, {"$SYS/x"}},
        {"$SYS/#", {"$SYS", "$SYS/a", "$SYS/a/b"}, {"SYS/a"}},
        {"$SYS/+", {"$SYS/a"}, {"$SYS", "$SYS/a/b"}},
        {"a//b", {"a//b"}, {"a/b"}},
        {"abc", {"abc"}, {"ab", "abcd", "ABC"}},
    };
    for (const Row &row : rows) {
        CAPTURE(std::string(row.filter));
        for (const char *topic : row.matches) {
            CAPTURE(std::string(topic));
            CHECK(match(row.filter, topic));
            CHECK(naive(row.filter, topic));
        }
        for (const char *topic : row.misses) {
            CAPTURE(std::string(topic));
            CHECK(!match(row.filter, topic));
            CHECK(!naive(row.filter, topic));
        }
    }
}

TEST_CASE("matching agrees with a naive model on random filters and names") {
    Random random;
    const char *levels[] = {"", "a", "b", "ab", "$x", "+", "#"};
    int hits = 0;
    for (int round = 0; round < 200000; round++) {
        std::string filter, topic;
        for (size_t n = 1 + random.below(5); n > 0; n--) {
            filter += levels[random.below(n == 1 ? 7 : 6)];
            if (n > 1) filter += '/';
        }
        for (size_t n = 1 + random.below(5); n > 0; n--) {
            topic += levels[random.below(5)];
            if (n > 1) topic += '/';
        }
        if (!topic_filter_valid(filter) || !topic_name_valid(topic)) continue;
        bool expected = naive(filter, topic);
        hits += expected;
        if (match(filter, topic) == expected) continue;
        CAPTURE(filter);
        CAPTURE(std::string(topic));
        CAPTURE(seed());
        REQUIRE(false);
    }
    CHECK(hits > 1000);
}

TEST_CASE("[MQTT-4.7.1-1, -2, 4.7.3-1, 4.8.2-1, -2] invalid filters are refused") {
    for (const char *bad : {"", "a#", "a/#/b", "#/a", "a+", "+a", "a/b+/c", "##", "/##", "++",
                            "$share/g", "$share/g/", "$share//a", "$share/g+/a", "$share/#/a",
                            "$share/+/a", "$share/", "$share/g/a#", "$share/g/#/a", "#/", "+#",
                            "a/+#", "$share/#", "$share/+"}) {
        CAPTURE(std::string(bad));
        CHECK(!subscription_ok(bad));
    }
    CHECK(!subscription_ok(hex("61 C0 80")));
    CHECK(!subscription_ok(std::string("a\0b", 3)));
}

TEST_CASE("valid filters are accepted") {
    for (const char *good : {"/", "//", "+/#", "+/+/#", " ", "a b/c", "$share/g/#", "$share/g//",
                             "#", "+", "$share", "$sharex/a", "$SYS/#", "a/#", "/+", "+/",
                             "$share/g/+", "$share/a b/c"}) {
        CAPTURE(std::string(good));
        CHECK(subscription_ok(good));
    }
}

TEST_CASE("[N5-59] a shared subscription is taken apart") {
    SharedFilter out;
    REQUIRE(topic_subscription_parse("$share/g//finance", &out));
    CHECK(out.share_name == "g");
    CHECK(out.filter == "/finance");
    REQUIRE(topic_subscription_parse("$share/g//", &out));
    CHECK(out.filter == "/");
    REQUIRE(topic_subscription_parse("$sharex/a", &out));
    CHECK(out.share_name.empty());
    CHECK(out.filter == "$sharex/a");
    REQUIRE(topic_subscription_parse("$share", &out));
    CHECK(out.share_name.empty());
}

TEST_CASE("[MQTT-3.3.2-2, 4.7.3-1] a topic name is not empty and has no wildcards") {
    for (const char *good : {"a", "/", "a/b", "$SYS/a", " ", "a//b"}) CHECK(topic_name_valid(good));
    for (const char *bad : {"", "#", "+", "a/#", "a+b", "a/+/b", "a\x01"})
        CHECK(!topic_name_valid(bad));
}

TEST_CASE("two hundred slashes are enough") {
    std::string deepest(200, '/');
    CHECK(topic_name_valid(deepest));
    CHECK(topic_filter_valid(deepest));
    CHECK(!topic_name_valid(deepest + "/"));
    CHECK(!topic_filter_valid(deepest + "/"));
    CHECK(!subscription_ok("$share/g" + deepest));
}

TEST_CASE("levels are taken one by one, empty ones included") {
    for (const char *text : {"a//b", "a", "/", "//", "a/b/"}) {
        CAPTURE(std::string(text));
        std::vector<std::string> seen;
        TopicLevels levels = topic_levels(text);
        Bytes level;
        while (topic_next_level(&levels, &level)) seen.emplace_back(level);
        CHECK(seen == split(text));
    }
}

TEST_CASE("wildcards are seen") {
    CHECK(topic_has_wildcard("a/+"));
    CHECK(topic_has_wildcard("#"));
    CHECK(!topic_has_wildcard("a/b"));
    CHECK(!topic_has_wildcard(""));
}
