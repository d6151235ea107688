#include "net/limits.h"

#include "base/hash.h"
#include "base/map.h"

// The connections of one address. Exists only while there is something to
// count: an unauthenticated one, or any if there is a limit on all.
struct AddrCount {
    Addr key;
    uint32_t all = 0;
    uint32_t unauthenticated = 0;
};

struct AddrEqual {
    static bool equal(const AddrCount *a, const Addr &key) {
        return a->key.family == key.family && memcmp(a->key.ip, key.ip, 16) == 0;
    }
};

struct AddrCounts {
    HashKey hash_key; // random: strangers choose the addresses
    Map<AddrCount *, Addr, AddrEqual> map;
};

// What counts as one address. Who has an IPv6 address has a whole /64, so a
// stranger's counts as one; at home the devices share it. Decided once: what
// the web request says about being at home comes later and changes nothing.
static Addr count_key(const Conn *c) {
    Addr key = c->peer;
    key.port = 0;
    if (key.family == AddrFamily::Ipv6 && !(c->watch.flags & COUNTED_ALONE)) memset(key.ip + 8, 0, 8);
    return key;
}

static uint64_t key_hash(const AddrCounts *counts, const Addr &key) {
    return hash_bytes(counts->hash_key, Bytes(reinterpret_cast<const char *>(key.ip), 16));
}

static AddrCount *find_count(Net *net, const Addr &key) {
    if (!net->by_address) return nullptr;
    AddrCount **found = net->by_address->map.find(key_hash(net->by_address, key), key);
    return found ? *found : nullptr;
}

static AddrCount *make_count(Net *net, const Addr &key) {
    if (AddrCount *found = find_count(net, key)) return found;
    if (!net->by_address) {
        net->by_address = mem_new<AddrCounts>();
        net->by_address->hash_key = hash_key_random();
    }
    AddrCount *a = mem_new<AddrCount>();
    a->key = key;
    net->by_address->map.insert(key_hash(net->by_address, key), a);
    return a;
}

static void drop_if_unused(Net *net, AddrCount *a) {
    if (a->all || a->unauthenticated) return;
    net->by_address->map.remove(key_hash(net->by_address, a->key), a->key);
    mem_delete(a);
}

static bool reached(uint32_t count, int64_t limit) { return limit >= 0 && count >= limit; }

static bool is_local(const Addr &a) {
    return a.family == AddrFamily::Unix || addr_is_loopback(a);
}

static const char *find_reason(const Conn *c) {
    Net *net = conn_net(c);
    const NetOptions &o = net->options;
    if (reached(net->counted, o.max_connections)) return "too many connections";
    if (reached(c->listener->connections, c->listener->options.max_connections))
        return "too many connections on this listener";
    if (reached(net->unauthenticated, o.max_unauthenticated))
        return "too many connections that have not authenticated";
    if (is_local(c->peer)) return nullptr;
    AddrCount *a = find_count(net, count_key(c));
    if (reached(a ? a->all : 0, o.max_connections_per_address))
        return "too many connections from this address";
    if (reached(a ? a->unauthenticated : 0, o.max_unauthenticated_per_address))
        return "too many connections from this address that have not authenticated";
    return nullptr;
}

static void count_address(Conn *c) {
    const NetOptions &o = conn_net(c)->options;
    if (is_local(c->peer)) return;
    bool all = o.max_connections_per_address >= 0;
    bool unauthenticated = o.max_unauthenticated_per_address >= 0;
    if (!all && !unauthenticated) return;
    AddrCount *a = make_count(conn_net(c), count_key(c));
    if (all) {
        a->all++;
        c->watch.flags |= COUNTED_ADDR;
    }
    if (unauthenticated) {
        a->unauthenticated++;
        c->watch.flags |= COUNTED_ADDR_NEW;
    }
}

const char *limits_admit(Conn *c) {
    if (c->home == Home::Yes) c->watch.flags |= COUNTED_ALONE;
    if (const char *why = find_reason(c)) return why;
    conn_net(c)->counted++;
    conn_net(c)->unauthenticated++;
    c->listener->connections++;
    c->watch.flags |= COUNTED | COUNTED_NEW;
    count_address(c);
    return nullptr;
}

// Clears `bit` and tells whether it was set.
static bool take_flag(Conn *c, uint16_t bit) {
    bool was = c->watch.flags & bit;
    c->watch.flags = static_cast<uint16_t>(c->watch.flags & ~bit);
    return was;
}

void conn_authenticated(Conn *c) {
    if (take_flag(c, COUNTED_NEW)) conn_net(c)->unauthenticated--;
    if (!take_flag(c, COUNTED_ADDR_NEW)) return;
    AddrCount *a = find_count(conn_net(c), count_key(c));
    a->unauthenticated--;
    drop_if_unused(conn_net(c), a);
}

void limits_leave(Conn *c) {
    conn_authenticated(c);
    if (take_flag(c, COUNTED)) {
        conn_net(c)->counted--;
        c->listener->connections--;
    }
    if (!take_flag(c, COUNTED_ADDR)) return;
    AddrCount *a = find_count(conn_net(c), count_key(c));
    a->all--;
    drop_if_unused(conn_net(c), a);
}

void limits_free(Net *net) {
    if (!net->by_address) return;
    net->by_address->map.free();
    mem_delete(net->by_address);
    net->by_address = nullptr;
}
