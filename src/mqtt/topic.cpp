// mqtt/topic.cpp -- topic names and topic filters.
#include "mqtt/topic.h"

#include "mqtt/utf8.h"

static constexpr Bytes SHARE_PREFIX("$share/", 7);

// Where `c` is in `v` first; v.size() when it is not there.
static size_t find(Bytes v, char c) {
    if (v.empty()) return 0;
    const void *hit = memchr(v.data(), c, v.size());
    return hit ? static_cast<size_t>(static_cast<const char *>(hit) - v.data()) : v.size();
}

static bool too_deep(Bytes v) {
    int slashes = 0;
    for (char c : v) slashes += c == '/';
    return slashes > TOPIC_MAX_SLASHES;
}

bool topic_has_wildcard(Bytes filter) {
    return find(filter, '+') < filter.size() || find(filter, '#') < filter.size();
}

bool topic_name_valid(Bytes name) {
    return !name.empty() && !topic_has_wildcard(name) && !too_deep(name) && utf8_valid(name);
}

// `+` fills its level [MQTT-4.7.1-2]; so does `#`, and it ends the filter
// [MQTT-4.7.1-1].
static bool wildcards_well_placed(Bytes filter) {
    size_t last = filter.size() - 1;
    for (size_t i = 0; i <= last; i++) {
        char c = filter[i];
        if (c != '+' && c != '#') continue;
        if (i > 0 && filter[i - 1] != '/') return false;
        if (i < last && (c == '#' || filter[i + 1] != '/')) return false;
    }
    return true;
}

bool topic_filter_valid(Bytes filter) {
    return !filter.empty() && wildcards_well_placed(filter) && !too_deep(filter) &&
           utf8_valid(filter);
}

bool topic_subscription_parse(Bytes subscription, SharedFilter *out) {
    // A shared filter has the same levels as what follows the name, so what is
    // wrong in it is wrong in the whole.
    if (!topic_filter_valid(subscription)) return false;
    *out = {{}, subscription};
    if (!starts_with(subscription, SHARE_PREFIX)) return true;

    Bytes rest = slice(subscription, SHARE_PREFIX.size());
    size_t name_size = find(rest, '/');
    out->share_name = slice(rest, 0, name_size);
    out->filter = slice(rest, name_size + 1);
    return name_size > 0 && !topic_has_wildcard(out->share_name) && !out->filter.empty();
}

bool topic_next_level(TopicLevels *levels, Bytes *level) {
    if (levels->done) return false;
    size_t size = find(levels->rest, '/');
    *level = slice(levels->rest, 0, size);
    levels->done = size == levels->rest.size();
    levels->rest = slice(levels->rest, size + 1);
    return true;
}

bool topic_matches(Bytes filter, Bytes topic) {
    bool wild_start = filter[0] == '+' || filter[0] == '#';
    if (wild_start && topic[0] == '$') return false;

    TopicLevels filter_levels = topic_levels(filter);
    TopicLevels name_levels = topic_levels(topic);
    Bytes wanted, level;
    while (topic_next_level(&filter_levels, &wanted)) {
        if (wanted == "#") return true; // the parent level included
        if (!topic_next_level(&name_levels, &level)) return false;
        if (wanted != "+" && wanted != level) return false;
    }
    return name_levels.done;
}
