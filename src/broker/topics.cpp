#include "broker/topics.h"

// `$SYS/broker/connection/X/state` with one level X.
static bool is_bridge_state(Bytes topic) {
    constexpr Bytes head = "$SYS/broker/connection/";
    constexpr Bytes tail = "/state";
    if (!starts_with(topic, head)) return false;
    Bytes rest = slice(topic, head.size());
    if (rest.size() <= tail.size()) return false;
    size_t middle = rest.size() - tail.size();
    return slice(rest, middle) == tail && !memchr(rest.data(), '/', middle);
}

bool topic_may_publish(Bytes topic) {
    if (topic.empty() || topic[0] != '$') return true;
    if (topic == "$SYS" || starts_with(topic, "$SYS/")) return is_bridge_state(topic);
    if (topic == "$share" || starts_with(topic, "$share/")) return false;
    return topic != "$CONTROL" && !starts_with(topic, "$CONTROL/");
}
