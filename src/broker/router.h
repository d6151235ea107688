// broker/router.h -- the flat hash map of topic-filter lists.
//
// The key is a topic filter, the value the compact list of its subscribers:
//
//     map:  hash(filter) -> Filter --+-- subs:   [Sub][Sub][Sub]...
//                                    +-- groups: Group -> Group (shared ones)
//
// A publish looks up the topic itself (exact filters) and, for each *shape*
// of wildcard filter in use that fits the topic (shapes.h), the topic masked
// by that shape. The hash of a filter is the sum of one keyed hash for each
// (level, text), so masking a level is one addition. Cost of a match: the
// shapes in use that fit, however many subscriptions there are. A hit is
// confirmed by comparing filter and topic.
//
// The router knows subscribers and lists, and nothing of what is delivered.
// A subscription of its own costs 48 bytes, the map's 17 (11 to 21), and the
// text of its filter.
#pragma once

#include "base/hash.h"
#include "broker/few.h"
#include "mqtt/topic.h"

struct Filter;
struct Group;
struct Subscriber;

// One subscription, as its filter's list has it.
struct Sub {
    Subscriber *subscriber = nullptr;
    uint32_t id : 28 = 0;            // Subscription Identifier; 0: none
    uint32_t qos : 2 = 0;            // granted
    uint32_t no_local : 1 = 0;
    uint32_t retain_as_published : 1 = 0;
    uint32_t back = 0;               // index of its SubRef in the subscriber
};
static_assert(sizeof(void *) > 4 || sizeof(Sub) == 12);
static_assert(sizeof(void *) < 8 || sizeof(Sub) == 16);

// The same subscription, as its subscriber's list has it. Ask router_sub,
// router_filter and router_group what it stands for.
struct SubRef {
    uint32_t list = 0;       // slab handle of the Filter, or of the Group if shared
    uint32_t index : 31 = 0; // in that list
    uint32_t shared : 1 = 0;
};
static_assert(sizeof(SubRef) == 8);

// Whoever can subscribe: the first member of Session. Holds no memory while it
// has one subscription or none.
struct Subscriber {
    Few<SubRef> subs; // in no particular order
};

// The members of one `$share/NAME/FILTER`, in the order of subscribing.
struct Group {
    Group *next = nullptr;  // further groups of the same filter
    Group *prev = nullptr;
    Filter *filter = nullptr;
    Vec<Sub> members;       // never empty; owned
    uint32_t id = 0;        // unique in the router, never 0
    uint32_t turn = 0;      // index of the member whose turn it is
    uint16_t name_size = 0;
    char name[1] = "";      // `name_size` bytes, really
};

// A topic filter with at least one subscription, plain or shared. Owner: the
// router's slab; it does not move.
struct Filter {
    Few<Sub> subs;           // the plain ones, in no particular order
    Group *groups = nullptr; // newest first; null for most
    uint16_t size = 0;
    bool wildcard = false;
    char text[1] = "";       // `size` bytes, really
};
inline Bytes filter_text(const Filter *f) { return {f->text, f->size}; }

struct Router; // router_inside.h

Router *router_create(const HashKey &);
void router_free(Router *); // subscribers must have unsubscribed

struct SubOptions {
    uint32_t id = 0;
    uint8_t qos = 0;
    bool no_local = false;
    bool retain_as_published = false;
};

// Adds the subscription or replaces its options. `f` is from
// topic_subscription_parse, with the mount point already put before f.filter
// (65,535 bytes at most). Returns true when it is new. Cost, besides the
// look-up: the subscriber's list or the filter's (group's), whichever is shorter.
bool router_subscribe(Router *, Subscriber *, const SharedFilter &f, const SubOptions &);

// False if there was no such subscription. Costs the same; shared ones
// O(members) in addition.
bool router_unsubscribe(Router *, Subscriber *, const SharedFilter &f);

// The subscriber's subscription of exactly that text, or null. Costs the same.
Sub *router_find(Router *, Subscriber *, const SharedFilter &f);
// The Sub that a SubRef stands for. Valid until the next change.
Sub *router_sub(Router *, const SubRef &);
// Its filter.
Filter *router_filter(Router *, const SubRef &);
// The group a shared SubRef belongs to; null for plain ones.
Group *router_group(Router *, const SubRef &);

// Removes the subscriber's subscription number `i` of subs (the last takes its
// place), or all of them (then the list holds no memory).
void router_remove(Router *, Subscriber *, uint32_t i);
void router_remove_all(Router *, Subscriber *);

// Appends every filter that matches `topic`; wildcards do not match `$` names.
// `out` is only appended to: clear it first. Valid until the next change.
void router_match(Router *, Bytes topic, Vec<Filter *> *out);

struct RouterStats {
    uint64_t subscriptions = 0; // plain and shared
    uint64_t shared = 0;
    uint64_t filters = 0;
    uint64_t lookups = 0;       // of the map, in all matches so far
    uint32_t shapes = 0;
};
RouterStats router_stats(const Router *);

// For the log: calls `each` for every filter, in no particular order.
void router_each(Router *, void (*each)(void *user, const Filter *), void *user);
