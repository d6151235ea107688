#include "sim/world.h"

#include <errno.h>

#include <algorithm>
#include <stdexcept>

// BrokerSetup::wall_ms has no argument: it shows the World that ran last.
static thread_local uint64_t wall_now_ms;
static uint64_t wall_clock() { return wall_now_ms; }

Addr loopback_addr(uint16_t n) {
    Addr a;
    const uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    std::copy(ip, ip + 16, a.ip);
    a.port = static_cast<uint16_t>(40000 + n);
    a.family = AddrFamily::Ipv4;
    return a;
}

// ---- the memory pipe -------------------------------------------------------

static Peer *peer_of(Conn *c) {
    World *w = static_cast<World *>(c->listener->net->ops_user);
    return &w->peers[static_cast<size_t>(c->watch.fd)];
}

static ssize_t pipe_read(Conn *c, void *to, size_t n) {
    Peer *p = peer_of(c);
    if (p->broken) {
        errno = ECONNRESET;
        return -1;
    }
    size_t waiting = p->outbox.size() - p->outbox_at;
    if (!waiting && p->finished) return 0;
    if (!waiting) {
        errno = EAGAIN;
        return -1;
    }
    n = std::min(n, waiting);
    memcpy(to, p->outbox.data() + p->outbox_at, n);
    p->outbox_at += n;
    if (p->outbox_at == p->outbox.size()) {
        p->outbox.clear();
        p->outbox_at = 0;
    }
    return static_cast<ssize_t>(n);
}

static ssize_t pipe_writev(Conn *c, const iovec *v, int count) {
    Peer *p = peer_of(c);
    if (p->broken || p->ended) {
        errno = EPIPE;
        return -1;
    }
    size_t taken = 0;
    for (int i = 0; i < count; i++) {
        size_t n = p->reading ? v[i].iov_len : std::min(v[i].iov_len, p->room);
        p->inbox.append(static_cast<const char *>(v[i].iov_base), n);
        if (!p->reading) p->room -= n;
        taken += n;
        if (n < v[i].iov_len) break;
    }
    size_t asked = 0;
    for (int i = 0; i < count; i++) asked += v[i].iov_len;
    if (!taken && asked) {
        errno = EAGAIN;
        return -1;
    }
    return static_cast<ssize_t>(taken);
}

static void pipe_interest(Conn *c, uint8_t interest) { peer_of(c)->interest = interest; }

static void pipe_shutdown(Conn *c) {
    Peer *p = peer_of(c);
    p->ended = true;
    if (p->polite) p->finished = true;
}

static void pipe_close(Conn *c) {
    Peer *p = peer_of(c);
    p->ended = true;
    p->conn = nullptr;
    p->interest = 0;
    p->outbox.clear();
    p->outbox_at = 0;
}

static size_t pipe_pending(Conn *c) {
    Peer *p = peer_of(c);
    return p->outbox.size() - p->outbox_at;
}

static const ConnOps PIPE_OPS = {
    pipe_read, pipe_writev, pipe_interest, pipe_shutdown, pipe_close, pipe_pending,
};

// ---- the world -------------------------------------------------------------

World::World() {
    setup.hash_key = {0x0123456789abcdef, 0xfedcba9876543210};
    setup.program = "knut";
    setup.version = KNUT_VERSION;
    setup.wall_ms = wall_clock;
    wall_now_ms = wall_at_zero_ms + now_ms;
    net = net_create(broker_net_events(), nullptr, false);
    if (!net) throw std::runtime_error("no Net");
    net->ops_user = this;
    net->now_ms = now_ms;
    net->neighbours.fixed = true;
    net_advance(net, now_ms);
}

World::~World() {
    if (broker) broker_free(broker);
    for (Listener *l : listeners) listener_close(l);
    net_free(net);
}

Listener *World::listen(Protocol protocol, const ListenerPolicy &policy) {
    ListenerOptions o;
    o.protocol = protocol;
    o.port = static_cast<uint16_t>(1883 + listeners.size());
    return listen(o, policy);
}

Listener *World::listen(const ListenerOptions &o, const ListenerPolicy &policy) {
    Listener *l = listener_fake(net, o);
    policies.push_back(policy);
    l->user = &policies.back();
    listeners.push_back(l);
    return l;
}

void World::start(Store *store) {
    wall_now_ms = wall_at_zero_ms + now_ms;
    broker = broker_create(setup, &options, store);
    net->owner = broker;
    broker_attach(broker, net);
    settle();
}

Peer *World::connect(Listener *l) {
    return connect(l, loopback_addr(static_cast<uint16_t>(peers.size())));
}

Peer *World::connect(Listener *l, const Addr &from) {
    Peer &p = peers.emplace_back();
    p.world = this;
    p.index = static_cast<int>(peers.size() - 1);
    p.interest = READY_READ;
    Conn *c = conn_create(net, l, &PIPE_OPS, p.index, from);
    // It may be closed already: the owner may refuse it in on_open.
    if (!c) {
        p.ended = true;
        return nullptr;
    }
    if (!p.ended) p.conn = c;
    return &p;
}

void World::send(Peer *p, std::string_view bytes) {
    if (p->finished || p->broken) throw std::runtime_error("sends after its own end");
    if (p->conn) p->outbox.append(bytes);
}

void World::finish(Peer *p) { p->finished = true; }
void World::reset(Peer *p) {
    p->broken = true;
    p->outbox.clear();
    p->outbox_at = 0;
}

void World::stop_reading(Peer *p, size_t room) {
    p->reading = false;
    p->room = room;
}

void World::resume_reading(Peer *p) { p->reading = true; }

std::string World::take(Peer *p) {
    std::string all;
    all.swap(p->inbox);
    return all;
}

// One turn of the reactor. False if nothing moved.
bool World::turn() {
    bool moved = false;
    for (Peer &p : peers) {
        bool readable = p.outbox_at < p.outbox.size() || p.finished || p.broken;
        if (p.conn && readable && (p.interest & READY_READ)) {
            conn_on_readable(p.conn);
            moved = true;
        }
        bool writable = p.reading || p.room || p.broken;
        if (p.conn && writable && (p.interest & READY_WRITE)) {
            conn_on_writable(p.conn);
            moved = true;
        }
    }
    net_advance(net, now_ms);
    if (broker) broker_tick(broker);
    net_end_turn(net);
    return moved || net->dirty || net->reap;
}

void World::settle() {
    wall_now_ms = wall_at_zero_ms + now_ms;
    net->now_ms = now_ms;
    for (int turns = 0; turn(); turns++)
        if (turns > 100'000) throw std::runtime_error("the broker never comes to rest");
}

uint64_t World::next_ms() const {
    uint64_t next = net_next_ms(net);
    return broker ? std::min(next, broker_next_ms(broker)) : next;
}

void World::advance(uint64_t ms) {
    uint64_t until = now_ms + ms;
    settle();
    while (now_ms < until) {
        // A wheel may ask to be called before anything is due: always go on.
        now_ms = std::min(until, std::max(next_ms(), now_ms + 1));
        settle();
    }
}
