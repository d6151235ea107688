// mqtt/topic.h -- topic names and topic filters [MQTT-4.7].
#pragma once

#include "base/bytes.h"

constexpr int TOPIC_MAX_SLASHES = 200; // more are refused (as Mosquitto does)
constexpr int TOPIC_MAX_LEVELS = TOPIC_MAX_SLASHES + 1;

// True for a name to publish to: not empty, no wildcards, valid UTF-8, not too
// deep.
bool topic_name_valid(Bytes);

// True for a filter without regard to `$share` [MQTT-4.7.1-1, -2].
bool topic_filter_valid(Bytes);

bool topic_has_wildcard(Bytes filter);

// A subscription as a client writes it: `$share/NAME/FILTER` taken apart.
struct SharedFilter {
    Bytes share_name; // empty: not shared
    Bytes filter;
};
// False when it is neither a valid filter nor a valid shared one
// [MQTT-4.8.2-1, -2]. `$share` alone and `$sharex/a` are ordinary filters.
[[nodiscard]] bool topic_subscription_parse(Bytes subscription, SharedFilter *out);

// Does `filter` (valid) match `topic` (valid)? Wildcards at the first level do
// not match names that begin with `$` [MQTT-4.7.2-1]. O(length), no recursion.
bool topic_matches(Bytes filter, Bytes topic);

// Takes the next level off `*rest` into `*level`; false when there is none
// left. "a//b" has the levels "a", "", "b". Begin with topic_levels(t).
struct TopicLevels {
    Bytes rest;
    bool done = false;
};
inline TopicLevels topic_levels(Bytes t) { return {t, false}; }
bool topic_next_level(TopicLevels *, Bytes *level);
