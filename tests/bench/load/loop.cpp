// loop.cpp -- sockets, and the part of MQTT that every client does alike.
#include "loop.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static constexpr size_t BUFFER_SIZE = 512 * 1024;
static constexpr int EVENTS_MAX = 4096;

[[noreturn]] static void die(const char *what) {
    perror(what);
    exit(2);
}

void loop_open(Loop *l, const Target &target) {
    l->target = target;
    l->buffer.resize(BUFFER_SIZE);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) die("epoll_create1");
}

uint32_t loop_random(Loop *l) { // xorshift
    uint32_t x = l->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return l->random = x;
}

static void watch(Loop *l, Conn *c, int operation) {
    epoll_event e = {};
    bool wants_write = c->stage == Stage::Connecting || c->waits_for_room;
    e.events = (c->is_deaf ? 0u : static_cast<uint32_t>(EPOLLIN)) | (wants_write ? static_cast<uint32_t>(EPOLLOUT) : 0u);
    e.data.ptr = c;
    if (epoll_ctl(l->epoll, operation, c->fd, &e) != 0) die("epoll_ctl");
}

// Sixteen source addresses, so that storms do not run out of ports.
static void bind_source(Conn *c) {
    int on = 1;
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->index % 16);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, reinterpret_cast<sockaddr *>(&a), sizeof a) != 0) die("bind");
}

void conn_open(Loop *l, Conn *c) {
    int on = 1;
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_port = htons(l->target.port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    bind_source(c);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, reinterpret_cast<sockaddr *>(&a), sizeof a) != 0 && errno != EINPROGRESS) die("connect");
    c->stage = Stage::Connecting;
    c->waits_for_room = false;
    c->ws = WsReader{};
    c->in.clear();
    c->out.clear();
    c->written = 0;
    watch(l, c, EPOLL_CTL_ADD);
}

void conn_close(Loop *l, Conn *c) {
    if (c->stage == Stage::Closed) return;
    bool is_surprise = c->stage != Stage::Leaving;
    close(c->fd);
    c->fd = -1;
    c->stage = Stage::Closed;
    l->acks_due -= c->acks_due;
    c->acks_due = 0;
    if (is_surprise) l->faults.closed++;
    if (c->events && c->events->on_closed) c->events->on_closed(l, c);
}

void conn_deafen(Loop *l, Conn *c, bool is_deaf) {
    c->is_deaf = is_deaf;
    watch(l, c, EPOLL_CTL_MOD);
}

// ---- output

static void make_dirty(Loop *l, Conn *c) {
    if (c->is_dirty) return;
    c->is_dirty = true;
    l->dirty.push_back(c);
}

size_t packet_begin(Conn *c) { return c->out.size(); }

void packet_end(Loop *l, Conn *c, size_t begin) {
    if (l->target.is_ws) ws_wrap(&c->out, begin, loop_random(l), 2);
    make_dirty(l, c);
}

static void flush(Loop *l, Conn *c) {
    c->is_dirty = false;
    if (c->fd < 0 || c->stage == Stage::Connecting || c->waits_for_room) return;
    while (c->written < c->out.size()) {
        ssize_t n = send(c->fd, c->out.data() + c->written, c->out.size() - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            c->waits_for_room = true;
            watch(l, c, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0) return conn_close(l, c);
        c->written += static_cast<size_t>(n);
    }
    c->out.clear();
    c->written = 0;
    if (c->out.capacity() > 65536 && c->stage == Stage::Live) c->out.shrink_to_fit();
}

static void answer(Loop *l, Conn *c, PacketType type, uint16_t id) {
    size_t begin = packet_begin(c);
    put_ack(&c->out, type, id);
    packet_end(l, c, begin);
}

static uint16_t take_id(Conn *c) {
    if (c->next_id == 0) c->next_id = 1;
    return c->next_id++;
}

void conn_subscribe(Loop *l, Conn *c, std::string_view filters) {
    size_t begin = packet_begin(c);
    put_subscribe(&c->out, l->target.version, take_id(c), filters);
    packet_end(l, c, begin);
    c->acks_due++;
    l->acks_due++;
}

void conn_unsubscribe(Loop *l, Conn *c, std::string_view filter) {
    size_t begin = packet_begin(c);
    put_unsubscribe(&c->out, l->target.version, take_id(c), filter);
    packet_end(l, c, begin);
    c->acks_due++;
    l->acks_due++;
}

void conn_ping(Loop *l, Conn *c) {
    size_t begin = packet_begin(c);
    put_empty(&c->out, PINGREQ);
    packet_end(l, c, begin);
    l->pings_due++;
}

void conn_leave(Loop *l, Conn *c) {
    size_t begin = packet_begin(c);
    put_empty(&c->out, DISCONNECT);
    packet_end(l, c, begin);
    c->stage = Stage::Leaving;
}

static void greet(Loop *l, Conn *c) {
    char id[24];
    snprintf(id, sizeof id, "bench-%014u", c->index); // 20 bytes
    size_t begin = packet_begin(c);
    put_connect(&c->out, {.client_id = id, .version = l->target.version, .is_clean = c->is_clean});
    packet_end(l, c, begin);
    c->stage = Stage::Greeting;
}

// ---- input

static void on_connack(Loop *l, Conn *c, std::string_view body) {
    if (c->stage != Stage::Greeting || body.size() < 2 || body[1] != 0) {
        l->faults.refused++;
        return conn_close(l, c);
    }
    c->receive_max = connack_receive_max(body, l->target.version);
    c->stage = Stage::Live;
    l->lives++;
    if (c->events && c->events->on_live) c->events->on_live(l, c);
}

// SUBACK and UNSUBACK. The reason codes are the last bytes of it; in MQTT 5
// properties stand before them, fewer than 128 bytes of them.
static void on_suback(Loop *l, Conn *c, std::string_view body) {
    size_t at = 2;
    if (l->target.version == Version::V5 && body.size() > 2) at = 3 + static_cast<size_t>(body[2] & 0x7f);
    for (size_t i = at; i < body.size(); i++) if (body[i] & 0x80) l->faults.refused++;
    if (c->acks_due == 0) { l->faults.malformed++; return; }
    c->acks_due--;
    l->acks_due--;
}

static void on_publish(Loop *l, Conn *c, uint8_t first, std::string_view body) {
    PublishView p;
    if (!publish_view(first, body, l->target.version, &p)) { l->faults.malformed++; return; }
    if (c->events && c->events->on_publish) c->events->on_publish(l, c, p);
    if (p.qos > 0) answer(l, c, p.qos == 1 ? PUBACK : PUBREC, p.id);
}

static void on_ack(Loop *l, Conn *c, uint8_t type, std::string_view body) {
    if (body.size() < 2) { l->faults.malformed++; return; }
    if (body.size() > 2 && body[2] & 0x80) l->faults.refused++;
    auto id = static_cast<uint16_t>(static_cast<uint8_t>(body[0]) << 8 | static_cast<uint8_t>(body[1]));
    if (type == PUBREC) return answer(l, c, PUBREL, id);
    if (type == PUBREL) return answer(l, c, PUBCOMP, id);
    if (c->events && c->events->on_ack) c->events->on_ack(l, c, id);
}

static void on_packet(Loop *l, Conn *c, uint8_t first, std::string_view body) {
    uint8_t type = first >> 4;
    switch (type) {
    case PUBLISH: return on_publish(l, c, first, body);
    case PUBACK: case PUBREC: case PUBREL: case PUBCOMP: return on_ack(l, c, type, body);
    case CONNACK: return on_connack(l, c, body);
    case SUBACK: case UNSUBACK: return on_suback(l, c, body);
    case PINGRESP: l->pings_due--; return;
    case DISCONNECT: return conn_close(l, c);
    default: l->faults.malformed++;
    }
}

// Handles all whole packets, gives the number of bytes they took.
static size_t cut_packets(Loop *l, Conn *c, std::string_view in) {
    size_t taken = 0;
    while (in.size() >= 2) {
        PacketHead h = packet_head(in);
        if (h.is_bad) {
            l->faults.malformed++;
            conn_close(l, c);
            return taken;
        }
        if (h.total == 0 || in.size() < h.total) break;
        on_packet(l, c, static_cast<uint8_t>(in[0]), in.substr(h.head, h.total - h.head));
        if (c->fd < 0) return taken;
        in.remove_prefix(h.total);
        taken += h.total;
    }
    return taken;
}

static void feed(Loop *l, Conn *c, std::string_view bytes) {
    if (c->in.empty()) {
        size_t taken = cut_packets(l, c, bytes);
        if (c->fd >= 0) c->in.assign(bytes.substr(taken));
        return;
    }
    c->in.append(bytes);
    PacketHead h = packet_head(c->in);
    if (h.total > c->in.size()) { c->in.reserve(h.total); return; }
    size_t taken = cut_packets(l, c, c->in);
    if (c->fd >= 0) c->in.erase(0, taken);
}

// The answer to the upgrade; what follows it are frames.
static size_t take_upgrade(Loop *l, Conn *c, char *bytes, size_t size) {
    c->in.append(bytes, size);
    size_t end = c->in.find("\r\n\r\n");
    if (end == c->in.npos) return 0;
    if (!ws_is_upgraded(std::string_view(c->in).substr(0, end))) {
        l->faults.refused++;
        conn_close(l, c);
        return 0;
    }
    size_t rest = c->in.size() - end - 4;
    memcpy(bytes, c->in.data() + end + 4, rest); // rest <= size
    c->in.clear();
    greet(l, c);
    return rest;
}

static void on_bytes(Loop *l, Conn *c, char *bytes, size_t size) {
    if (!l->target.is_ws) return feed(l, c, {bytes, size});
    if (c->stage == Stage::Upgrading) size = take_upgrade(l, c, bytes, size);
    if (size == 0 || c->fd < 0) return;
    size = ws_unwrap(&c->ws, bytes, size);
    if (c->ws.is_bad) { l->faults.malformed++; return conn_close(l, c); }
    if (size) feed(l, c, {bytes, size});
    if (c->fd >= 0 && c->ws.is_closing) return conn_close(l, c);
    if (c->fd >= 0 && c->ws.wants_pong) {
        ws_wrap(&c->out, c->out.size(), loop_random(l), 10); // a pong without the ping's payload
        make_dirty(l, c);
        c->ws.wants_pong = false;
    }
}

static void on_connected(Loop *l, Conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { errno = error; die("connect"); }
    if (l->target.is_ws) {
        c->stage = Stage::Upgrading;
        ws_put_upgrade(&c->out);
        make_dirty(l, c);
    } else {
        greet(l, c);
    }
    watch(l, c, EPOLL_CTL_MOD);
}

static void on_readable(Loop *l, Conn *c) {
    ssize_t n = recv(c->fd, l->buffer.data(), l->buffer.size(), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return conn_close(l, c);
    l->now = now_ns();
    on_bytes(l, c, l->buffer.data(), static_cast<size_t>(n));
}

static void on_event(Loop *l, Conn *c, uint32_t events) {
    if (c->fd < 0) return;
    if (c->stage == Stage::Connecting) return on_connected(l, c);
    if (events & EPOLLOUT && c->waits_for_room) {
        c->waits_for_room = false;
        watch(l, c, EPOLL_CTL_MOD);
        make_dirty(l, c);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(l, c);
}

void loop_turn(Loop *l, int timeout_ms) {
    static epoll_event events[EVENTS_MAX];
    int n = epoll_wait(l->epoll, events, EVENTS_MAX, timeout_ms);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) on_event(l, static_cast<Conn *>(events[i].data.ptr), events[i].events);
    if (l->on_turn) l->on_turn(l);
    for (size_t i = 0; i < l->dirty.size(); i++) flush(l, l->dirty[i]);
    l->dirty.clear();
}
