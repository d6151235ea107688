#include "sim/oracle.h"

#include <algorithm>

namespace sim {

bool filter_matches(const std::string &filter, const std::string &topic) {
    size_t f = 0, t = 0;
    for (;;) {
        size_t fe = std::min(filter.find('/', f), filter.size());
        size_t te = std::min(topic.find('/', t), topic.size());
        std::string level = filter.substr(f, fe - f);
        if (level == "#") return true;
        if (level != "+" && level != topic.substr(t, te - t)) return false;
        bool f_ends = fe == filter.size(), t_ends = te == topic.size();
        if (t_ends) return f_ends || filter.substr(fe) == "/#"; // the parent matches too
        if (f_ends) return false;
        f = fe + 1;
        t = te + 1;
    }
}

static std::string inner_filter(const std::string &full) {
    return full.substr(full.find('/', full.find('/') + 1) + 1);
}

static std::string text_of(const Receipt &r) {
    std::string out = r.topic + "=" + r.payload.substr(0, 12) + " q" + std::to_string(r.qos);
    if (r.retain) out += " retain";
    if (r.dup) out += " dup";
    for (uint32_t id : r.ids) out += " id" + std::to_string(id);
    return out;
}

static Receipt receipt_of(const Copy &c) {
    return {c.message->topic, c.message->payload, c.qos, c.retain, false, UINT32_MAX, c.ids, true};
}

static bool expired(const Published &m, uint64_t now_ms) { return m.expires_ms <= now_ms; }

bool Oracle::online(const std::string &id) const {
    auto s = sessions_.find(id);
    return s != sessions_.end() && s->second.online;
}

// ---- sessions --------------------------------------------------------------

void Oracle::publish_will(ModelSession &s) {
    ModelWill w = std::move(s.will);
    s.will = {};
    s.will_ms = NEVER;
    if (w.topic.empty()) return;
    Published m;
    m.source = s.id;
    m.topic = w.topic;
    m.payload = w.payload;
    m.qos = w.qos;
    m.retain = w.retain;
    publish(m);
}

static Copy live_copy(const Message_ &m, const std::string &filter, const Subscription &o) {
    Copy c;
    c.message = m;
    c.qos = std::min(m->qos, o.qos);
    c.retain = m->retain && o.retain_as_published;
    if (o.id) c.ids = {o.id};
    c.filters = {filter};
    return c;
}

// A retained value of QoS 0 that a session missed may still come, if a replay
// of its subscription goes on when it is back.
static void replay_later(ModelSession &s, const Message_ &m) {
    for (const auto &[filter, o] : s.subs) {
        if (std::min(m->qos, o.qos) || !filter_matches(filter, m->topic)) continue;
        Copy c = live_copy(m, filter, o);
        c.is_replay = c.retain = true;
        c.required = false;
        auto same = [&](const Copy &x) {
            return x.is_replay && !x.seen && x.message == m && x.filters == c.filters;
        };
        auto had = std::count_if(s.copies.begin(), s.copies.end(), same);
        for (; had < o.replays; had++) s.copies.push_back(c);
    }
}

// What was on its way with QoS 0 may be lost; a share's may have been with it.
void Oracle::drop_connection(ModelSession &s) {
    s.online = s.slow = false;
    s.silent_ms = NEVER;
    for (const auto &[topic, m] : retained_) replay_later(s, m);
    std::erase_if(s.copies, [](const Copy &c) { return c.qos == 0 && !c.is_replay; });
    for (Copy &c : s.copies)
        if (c.qos == 0) c.required = false;
    for (const std::string &full : s.ever_shared)
        for (GroupCopy &c : groups_[full].copies)
            if (c.qos == 0) c.required = false;
}

void Oracle::leave_group(const std::string &full, const std::string &id, bool session_ends) {
    ModelGroup &g = groups_[full];
    g.members.erase(id);
    for (GroupCopy &c : g.copies) {
        if (session_ends) c.moves++;
        else c.left.insert(id);
        // What was in flight when it unsubscribed is its own until its end.
        bool dies = session_ends && c.left.count(id);
        if (dies || c.qos == 2 || g.members.empty()) c.required = false; // [MQTT-4.8.2-5], N5-61
    }
}

void Oracle::end_session(const std::string &id) {
    ModelSession &s = at(id);
    for (const std::string &full : s.ever_shared) leave_group(full, id, true);
    s.subs.clear();
    s.shares.clear();
    s.copies.clear();
    publish_will(s); // nobody's but others' business now
    sessions_.erase(id);
}

// The rows of N5-20 for a connection that has ended by itself.
void Oracle::park(ModelSession &s, bool with_will) {
    drop_connection(s);
    if (!with_will) s.will = {};
    if (s.will.delay_s == 0 || s.expiry_s == 0) publish_will(s);
    if (s.expiry_s == 0) return end_session(s.id);
    if (!s.will.topic.empty()) s.will_ms = now_ms + s.will.delay_s * 1000ull;
    if (s.expiry_s != UINT32_MAX) s.ends_ms = now_ms + s.expiry_s * 1000ull;
}

void Oracle::lose(const std::string &id) { park(at(id), true); }

void Oracle::leave(const std::string &id, bool with_will, uint32_t new_expiry_s) {
    at(id).expiry_s = new_expiry_s;
    park(at(id), with_will);
}

bool Oracle::connect(const Arrival &a) {
    auto found = sessions_.find(a.id);
    bool present = found != sessions_.end() && !a.clean &&
                   !(found->second.online && found->second.expiry_s == 0);
    if (found != sessions_.end() && found->second.online) { // a takeover
        ModelSession &s = found->second;
        drop_connection(s);
        if (!present || s.will.delay_s == 0) publish_will(s);
        s.will = {};
    }
    if (found != sessions_.end() && !present) end_session(a.id);
    ModelSession &s = sessions_[a.id];
    s.id = a.id;
    s.online = true;
    s.expiry_s = a.expiry_s;
    s.ends_ms = s.will_ms = NEVER;
    s.will = a.will;
    s.keep_alive_s = a.keep_alive_s;
    heard(a.id);
    return present;
}

void Oracle::heard(const std::string &id) {
    ModelSession &s = at(id);
    s.silent_ms = s.keep_alive_s ? now_ms + s.keep_alive_s * 1500ull : NEVER;
}

std::vector<std::string> Oracle::advance(uint64_t to_ms) {
    std::vector<std::string> silent;
    before_ms_ = now_ms;
    for (;;) {
        ModelSession *next = nullptr;
        uint64_t when = to_ms;
        for (auto &[id, s] : sessions_) {
            uint64_t due = std::min({s.ends_ms, s.will_ms, s.silent_ms});
            if (due > when) continue;
            when = due;
            next = &s;
        }
        if (!next) break;
        now_ms = when;
        std::string id = next->id;
        if (next->silent_ms == when) {
            silent.push_back(id);
            lose(id);
        } else if (next->ends_ms == when) {
            end_session(id);
        } else {
            publish_will(*next);
        }
    }
    now_ms = to_ms;
    return silent;
}

// ---- subscriptions ---------------------------------------------------------

// A replay that is under way may end, go on, or go on with the new options.
static void change_replays(ModelSession &s, const std::string &filter, const Subscription &o) {
    std::vector<Copy> changed;
    for (Copy &c : s.copies) {
        if (!c.is_replay || c.seen || c.filters[0] != filter) continue;
        c.required = false;
        changed.push_back(c);
        changed.back().qos = std::min(c.message->qos, o.qos);
        changed.back().ids = o.id ? std::vector<uint32_t>{o.id} : std::vector<uint32_t>();
    }
    s.copies.insert(s.copies.end(), changed.begin(), changed.end());
}

void Oracle::subscribe(const std::string &id, const std::string &filter, const Subscription &o,
                       int retain_handling) {
    ModelSession &s = at(id);
    if (filter.starts_with("$share/")) {
        s.shares[filter] = o;
        s.ever_shared.insert(filter);
        groups_[filter].filter = inner_filter(filter);
        groups_[filter].members.insert(id);
        return;
    }
    bool is_new = !s.subs.count(filter);
    int replays = is_new ? 0 : s.subs[filter].replays;
    s.subs[filter] = o;
    s.subs[filter].replays = replays;
    if (!is_new) change_replays(s, filter, o);
    if (retain_handling == 2 || (retain_handling == 1 && !is_new)) return;
    s.subs[filter].replays++;
    for (const auto &[topic, m] : retained_) {
        if (expired(*m, now_ms) || !filter_matches(filter, topic)) continue;
        if (o.no_local && m->source == id) continue;
        Copy c;
        c.message = m;
        c.qos = std::min(m->qos, o.qos);
        c.retain = c.is_replay = true;
        if (o.id) c.ids = {o.id};
        c.filters = {filter};
        s.copies.push_back(c);
    }
}

void Oracle::unsubscribe(const std::string &id, const std::string &filter) {
    ModelSession &s = at(id);
    if (s.shares.erase(filter)) return leave_group(filter, id, false);
    s.subs.erase(filter);
    for (Copy &c : s.copies) // N5-57
        if (std::count(c.filters.begin(), c.filters.end(), filter)) c.required = false;
}

// ---- publishing ------------------------------------------------------------

void Oracle::store_retained(const Message_ &m) {
    if (m->payload.empty()) retained_.erase(m->topic);
    else retained_[m->topic] = m;
    for (auto &[id, s] : sessions_) // a replay sends what is there at that moment
        for (Copy &c : s.copies)
            if (c.is_replay && c.message->topic == m->topic) c.required = false;
}

// One copy with all that the others have [MQTT-3.3.4-2, -4].
static Copy merged(const std::vector<Copy> &copies) {
    Copy all = copies[0];
    for (size_t i = 1; i < copies.size(); i++) {
        all.qos = std::max(all.qos, copies[i].qos);
        all.retain |= copies[i].retain;
        all.ids.insert(all.ids.end(), copies[i].ids.begin(), copies[i].ids.end());
        all.filters.push_back(copies[i].filters[0]);
    }
    std::sort(all.ids.begin(), all.ids.end());
    return all;
}

bool Oracle::copy_to_sessions(const Message_ &m) {
    bool any = false;
    for (auto &[id, s] : sessions_) {
        std::vector<Copy> copies;
        for (const auto &[filter, o] : s.subs) {
            if (!filter_matches(filter, m->topic)) continue;
            if (o.no_local && m->source == id) continue;
            copies.push_back(live_copy(m, filter, o));
        }
        any |= !copies.empty();
        if (merges && copies.size() > 1) copies = {merged(copies)};
        for (Copy &c : copies) {
            if (c.qos || s.online) s.copies.push_back(std::move(c));
        }
        if (!s.online && m->retain && !m->payload.empty()) replay_later(s, m);
    }
    return any;
}

bool Oracle::copy_to_groups(const Message_ &m) {
    bool any = false;
    for (auto &[full, g] : groups_) {
        if (g.members.empty() || !filter_matches(g.filter, m->topic)) continue;
        any = true;
        GroupCopy c;
        c.message = m;
        bool somebody_reads = false;
        for (const std::string &id : g.members) {
            const ModelSession &s = at(id);
            c.qos = std::min(m->qos, s.shares.at(full).qos); // the same for all members
            somebody_reads |= s.online && !s.slow;
        }
        c.required = c.qos || somebody_reads;
        g.copies.push_back(c);
    }
    return any;
}

bool Oracle::publish(Published p) {
    p.event = ++events_;
    if (p.expiry_s) p.expires_ms = now_ms + p.expiry_s * 1000ull;
    auto m = std::make_shared<const Published>(std::move(p));
    if (m->retain) store_retained(m);
    bool any = copy_to_sessions(m);
    return copy_to_groups(m) || any;
}

std::map<std::string, std::string> Oracle::retained() const {
    std::map<std::string, std::string> out;
    for (const auto &[topic, m] : retained_)
        if (!expired(*m, now_ms)) out[topic] = m->payload;
    return out;
}

// ---- receiving -------------------------------------------------------------

static std::string order_key(const Published &m, uint8_t qos) {
    return m.source + "|" + m.topic + "|" + std::to_string(m.qos) + std::to_string(qos);
}

static bool fits(const Published &m, uint8_t qos, const Receipt &r) {
    return qos == r.qos && m.payload == r.payload && m.topic == r.topic;
}

void Oracle::check_expiry(const Published &m, const Receipt &r, bool slow) const {
    if (r.dup || slow) return; // sent before, perhaps long before
    if (expired(m, before_ms_)) throw Broken("sent after it had expired: " + text_of(r));
    if (r.expiry_s == UINT32_MAX) return;
    uint64_t left_s = expired(m, now_ms) ? 0 : (m.expires_ms - now_ms + 999) / 1000;
    if (r.expiry_s < left_s || r.expiry_s > m.expiry_s)
        throw Broken("expiry " + std::to_string(r.expiry_s) + " s, left " + std::to_string(left_s));
}

// Older before newer (a repeated QoS 1 message is there twice), live before
// retained, what must come before what may.
static bool goes_before(const Copy &a, const Copy &b) {
    if (a.message->event != b.message->event) return a.message->event < b.message->event;
    if (a.is_replay != b.is_replay) return b.is_replay;
    return a.required && !b.required;
}

// Order is promised for live messages [MQTT-4.6.0-5]. `*is_late`: something
// fitted but for its order.
static Copy *find_copy(ModelSession &s, const Receipt &r, bool *is_late) {
    Copy *best = nullptr;
    for (Copy &c : s.copies) {
        if (c.seen || c.retain != r.retain || !fits(*c.message, c.qos, r)) continue;
        if (r.has_props && c.ids != r.ids) continue;
        int last = s.last_event[order_key(*c.message, c.qos)];
        if (!c.is_replay && c.message->event < last) *is_late = true;
        else if (!best || goes_before(c, *best)) best = &c;
    }
    return best;
}

// What a 3.x client took may have been another copy than was thought, of the same
// message: now that the client speaks 5.0 it is seen which.
static void trade_ids(ModelSession &s, const Receipt &r) {
    for (Copy &taken : s.copies) {
        if (!taken.blind || taken.ids != r.ids || !fits(*taken.message, taken.qos, r)) continue;
        for (Copy &left : s.copies) {
            if (left.seen || left.message != taken.message || left.qos != taken.qos) continue;
            if (left.retain != taken.retain || left.is_replay != taken.is_replay) continue;
            std::swap(left.ids, taken.ids);
            std::swap(left.filters, taken.filters);
            std::swap(left.required, taken.required);
            return;
        }
    }
}

GroupCopy *Oracle::find_group_copy(const ModelSession &s, const Receipt &r) {
    GroupCopy *best = nullptr;
    for (const std::string &full : s.ever_shared)
        for (GroupCopy &c : groups_[full].copies) {
            int most = c.qos == 1 ? 1 + c.moves : 1;
            if (c.seen >= most || !fits(*c.message, c.qos, r)) continue;
            auto rank = [](const GroupCopy &x) { return 2 * x.seen + (x.required ? 0 : 1); };
            if (!best || rank(c) < rank(*best)) best = &c;
        }
    return best;
}

static std::string known_copies(const ModelSession &s, const Receipt &r) {
    std::string known;
    for (const Copy &c : s.copies)
        if (c.message->payload == r.payload && c.message->topic == r.topic)
            known += (c.seen ? "; had " : "; was to get ") + text_of(receipt_of(c));
    return known;
}

void Oracle::received(const std::string &id, const Receipt &r) {
    ModelSession &s = at(id);
    bool is_late = false;
    Copy *own = find_copy(s, r, &is_late);
    if (!own && r.has_props) {
        trade_ids(s, r);
        own = find_copy(s, r, &is_late);
    }
    GroupCopy *shared = find_group_copy(s, r);
    // A client in a group with a subscription of its own cannot tell the two
    // apart: the older one it is, if that one has not come yet.
    bool is_older = own && shared && !shared->seen && shared->message->event < own->message->event;
    if (own && !is_older) {
        own->seen = true;
        own->blind = !r.has_props;
        if (!own->is_replay) s.last_event[order_key(*own->message, own->qos)] = own->message->event;
        return check_expiry(*own->message, r, s.slow);
    }
    if (shared) {
        shared->seen++;
        return check_expiry(*shared->message, r, s.slow);
    }
    if (is_late) throw Broken("out of order to " + id + ": " + text_of(r));
    throw Broken("unexpected at " + id + ": " + text_of(r) + known_copies(s, r));
}

// A publisher that repeats a QoS 1 message makes a second one of it; having got
// either is having got the message.
static bool got_payload(const ModelSession &s, const Copy &wanted) {
    for (const Copy &c : s.copies)
        if (c.seen && c.qos == wanted.qos && c.message->payload == wanted.message->payload)
            return true;
    return false;
}

void Oracle::check_end() const {
    for (const auto &[id, s] : sessions_)
        for (const Copy &c : s.copies) {
            if (!c.required || c.seen || expired(*c.message, now_ms)) continue;
            if (c.message->qos == 1 && got_payload(s, c)) continue;
            throw Broken(id + " never got " + c.message->topic + "=" + c.message->payload + " q" +
                         std::to_string(c.qos) + (c.is_replay ? " (retained)" : ""));
        }
    for (const auto &[full, g] : groups_)
        for (const GroupCopy &c : g.copies) {
            if (!c.required || c.seen || expired(*c.message, now_ms)) continue;
            throw Broken("nobody of " + full + " got " + c.message->topic + "=" +
                         c.message->payload + " q" + std::to_string(c.qos));
        }
}

} // namespace sim
