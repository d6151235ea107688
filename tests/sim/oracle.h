// sim/oracle.h -- what MQTT promises, written down as simply as can be.
//
// The simulation tells the oracle what the broker was given (a CONNECT was
// handled, a connection was lost, time has passed) and what clients received.
// The oracle keeps a model of sessions, subscriptions, retained messages and
// wills, and of every copy of a message that somebody is to get. It knows no
// windows, no queues and no packet ids: it judges outcomes.
//
//     Published --(subscriptions at that time)--> Copy of a session
//                                             \-> GroupCopy of a share
//
// A received message must be one of the copies that are expected, in order; at
// the end every copy that was required must have come.
#pragma once

#include <stdint.h>

#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace sim {

// The broker broke a promise: what() says which.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr uint64_t NEVER = UINT64_MAX;

struct Published {
    int event = 0;               // counts up: the order in which they were taken
    std::string source;          // client id
    std::string topic, payload;
    uint8_t qos = 0;
    bool retain = false;
    uint32_t expiry_s = 0;       // 0: none
    uint64_t expires_ms = NEVER;
};
using Message_ = std::shared_ptr<const Published>;

// One copy that a session is to get.
struct Copy {
    Message_ message;
    uint8_t qos = 0;
    bool retain = false;
    bool is_replay = false;      // of a retained message
    bool required = true;        // false: it may come, or not
    bool seen = false;
    bool blind = false;          // seen by a 3.x client, which is not told `ids`
    std::vector<uint32_t> ids;   // Subscription Identifiers, sorted
    std::vector<std::string> filters; // the subscriptions that it is due to
};

struct Subscription {
    uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
    uint32_t id = 0;
    int replays = 0;             // SUBSCRIBEs that wanted retained messages
};

struct ModelWill {
    std::string topic;           // empty: none
    std::string payload;
    uint8_t qos = 0;
    bool retain = false;
    uint32_t delay_s = 0;
};

struct ModelSession {
    std::string id;
    bool online = false;
    bool slow = false;           // does not read at the moment
    uint32_t expiry_s = 0;       // UINT32_MAX: never
    uint64_t ends_ms = NEVER;    // while offline
    uint64_t will_ms = NEVER;    // a will that waits for its delay
    uint64_t silent_ms = NEVER;  // keep-alive runs out
    uint16_t keep_alive_s = 0;
    ModelWill will;
    std::map<std::string, Subscription> subs;   // plain, by filter
    std::map<std::string, Subscription> shares; // by "$share/name/filter"
    std::set<std::string> ever_shared;          // in this session's life
    std::vector<Copy> copies;
    std::set<uint16_t> received;                // QoS 2 ids not yet released
    std::map<std::string, int> last_event;      // per publisher, topic and QoS
};

struct GroupCopy {
    Message_ message;
    uint8_t qos = 0;
    bool required = true;
    int seen = 0;
    int moves = 0;               // sessions of members that have ended since
    std::set<std::string> left;  // members that have unsubscribed since
};

struct ModelGroup {
    std::string filter;
    std::set<std::string> members;
    std::vector<GroupCopy> copies; // those of former groups of that name too
};

// What a client asked for in CONNECT.
struct Arrival {
    std::string id;
    bool clean = true;
    uint32_t expiry_s = 0;
    uint16_t keep_alive_s = 0;
    ModelWill will;
};

// What a client received.
struct Receipt {
    std::string topic, payload;
    uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
    uint32_t expiry_s = UINT32_MAX; // of the property; UINT32_MAX: none
    std::vector<uint32_t> ids;
    bool has_props = false;         // 5.0: it would have been told of ids
};

class Oracle {
public:
    bool merges = false;         // allow_duplicate_messages false
    uint64_t now_ms = 0;

    // ---- what the broker was given ----
    bool connect(const Arrival &);              // returns Session Present
    void lose(const std::string &id);           // the connection, without goodbye
    void leave(const std::string &id, bool with_will, uint32_t new_expiry_s);
    void heard(const std::string &id);          // a packet: keep-alive begins anew
    void subscribe(const std::string &id, const std::string &filter, const Subscription &,
                   int retain_handling);
    void unsubscribe(const std::string &id, const std::string &filter);
    // Returns false if it matches no subscription: PUBACK 0x10.
    bool publish(Published);
    void set_slow(const std::string &id, bool slow) { at(id).slow = slow; }
    // Everything due up to then happens. Those who fell silent are returned.
    std::vector<std::string> advance(uint64_t to_ms);

    // ---- what came out ----
    void received(const std::string &id, const Receipt &);
    // Nothing is under way any more: everything required has come.
    void check_end() const;

    bool online(const std::string &id) const;
    bool exists(const std::string &id) const { return sessions_.count(id) != 0; }
    ModelSession &at(const std::string &id) { return sessions_.at(id); }
    // topic -> payload, without those that have expired.
    std::map<std::string, std::string> retained() const;

private:
    std::map<std::string, ModelSession> sessions_;
    std::map<std::string, ModelGroup> groups_;
    std::map<std::string, Message_> retained_;
    int events_ = 0;
    uint64_t before_ms_ = 0;     // the time before the last advance

    void publish_will(ModelSession &);
    void park(ModelSession &, bool with_will);
    void drop_connection(ModelSession &);
    void end_session(const std::string &id);
    void leave_group(const std::string &full, const std::string &id, bool session_ends);
    bool copy_to_sessions(const Message_ &);
    bool copy_to_groups(const Message_ &);
    void store_retained(const Message_ &);
    GroupCopy *find_group_copy(const ModelSession &, const Receipt &);
    void check_expiry(const Published &, const Receipt &, bool slow) const;
};

// [MQTT-4.7], for topics and filters without `$`.
bool filter_matches(const std::string &filter, const std::string &topic);

} // namespace sim
