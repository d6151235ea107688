// tests/unit/broker_topics.h -- random topics and filters, and what the standard
// says about them, written down a second time and as simply as can be.
#pragma once

#include <string>
#include <vector>

#include "base_random.h"

namespace broker_test {

inline std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> out(1);
    for (char c : text) {
        if (c == '/')
            out.emplace_back();
        else
            out.back() += c;
    }
    return out;
}

inline std::string join(const std::vector<std::string> &levels) {
    std::string out;
    for (size_t i = 0; i < levels.size(); i++) out += (i ? "/" : "") + levels[i];
    return out;
}

// [MQTT-4.7.1-2, -3, 4.7.2-1]
inline bool naive_match(const std::string &filter, const std::string &topic) {
    std::vector<std::string> f = split(filter), t = split(topic);
    if (topic[0] == '$' && (f[0] == "+" || f[0] == "#")) return false;
    bool has_hash = f.back() == "#";
    if (has_hash) f.pop_back();
    if (has_hash ? t.size() < f.size() : t.size() != f.size()) return false;
    for (size_t i = 0; i < f.size(); i++)
        if (f[i] != "+" && f[i] != t[i]) return false;
    return true;
}

// Levels sort before, between and behind `/` and `0`; empty ones and `$` too.
inline std::string random_level(Random &random) {
    static const char *const TEXTS[] = {"a", "b", "", "a!", "a0", "$x", "ab", "\xc3\xa9"};
    return TEXTS[random.one_in(3) ? random.below(8) : random.below(3)];
}

inline std::vector<std::string> random_levels(Random &random) {
    bool is_deep = random.one_in(12);
    size_t n = 1 + (is_deep ? random.below(201) : random.below(4));
    std::vector<std::string> levels;
    for (size_t i = 0; i < n; i++)
        levels.push_back(is_deep && !random.one_in(60) ? "a" : random_level(random));
    if (is_deep && random.one_in(4)) levels.assign(201, "a");
    return levels;
}

inline std::string random_topic(Random &random) {
    std::string topic;
    while (topic.empty()) topic = join(random_levels(random));
    return topic;
}

inline std::string random_filter(Random &random) {
    std::vector<std::string> levels = random_levels(random);
    for (std::string &l : levels)
        if (random.one_in(3)) l = "+";
    if (random.one_in(3)) levels.back() = "#";
    std::string filter = join(levels);
    return filter.empty() ? "#" : filter;
}

} // namespace broker_test
