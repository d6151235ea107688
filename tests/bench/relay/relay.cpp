// relay.cpp -- the null relay: the floor that no broker can beat.
//
// Accepts connections, answers with canned acknowledgements, and copies the
// bytes of a PUBLISH unchanged to those who asked for its topic, with one
// write per subscriber and readiness batch. No sessions, no rights, no limits,
// no packet ids of its own (a subscriber sees the publisher's, which is sound
// only while each subscriber hears one publisher), no retained messages: what
// it spends is what the kernel's sockets cost.
//
//   relay PORT [ADDRESS]
//
// Topics: a filter is an exact string, or a prefix that ends in `/#`. A
// connection has one filter. Subscribing with any QoS gives the publisher's.
#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

static constexpr int EVENTS_MAX = 4096;
static constexpr size_t BUFFER_SIZE = 512 * 1024;

struct Conn;

// All who subscribed to one filter, and what this batch has for them.
struct Group {
    std::string filter;          // without the `#`
    bool is_prefix = false;
    bool is_dirty = false;       // in dirty_groups
    std::vector<Conn *> members;
    std::string batch;
};

struct Conn {
    int fd = -1;
    bool is_v5 = false;
    bool is_dirty = false;       // in dirty_conns
    bool waits = false;          // for room in the socket
    Group *to = nullptr;         // where its last topic goes
    Group *of = nullptr;         // the group it is a member of
    std::string topic;           // that last topic
    std::string in;              // an unfinished packet
    std::string out;             // acknowledgements, and what the socket refused
};

static int poller;
static std::deque<Group> groups;
static std::vector<Group *> dirty_groups;
static std::vector<Conn *> dirty_conns;
static std::vector<Conn *> dead;
static char buffer[BUFFER_SIZE];

[[noreturn]] static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(Conn *c, int operation) {
    epoll_event e = {};
    e.events = static_cast<uint32_t>(EPOLLIN) | (c->waits ? static_cast<uint32_t>(EPOLLOUT) : 0u);
    e.data.ptr = c;
    if (epoll_ctl(poller, operation, c->fd, &e) != 0) die("epoll_ctl");
}

static void drop(Conn *c) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    if (c->of) std::erase(c->of->members, c);
    dead.push_back(c); // freed after the batch
}

// ---- output

static void write_out(Conn *c, std::string_view bytes) {
    if (c->fd < 0) return;
    if (c->waits) { c->out.append(bytes); return; }
    ssize_t n = send(c->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return drop(c);
    size_t written = n < 0 ? 0 : static_cast<size_t>(n);
    if (written == bytes.size()) return;
    c->out.append(bytes.substr(written));
    c->waits = true;
    watch(c, EPOLL_CTL_MOD);
}

static void write_rest(Conn *c) {
    std::string rest;
    bool waited = c->waits;
    rest.swap(c->out);
    c->waits = false;
    write_out(c, rest);
    if (waited && !c->waits && c->fd >= 0) watch(c, EPOLL_CTL_MOD);
}

static void reply(Conn *c, std::string_view bytes) {
    c->out.append(bytes);
    if (c->is_dirty) return;
    c->is_dirty = true;
    dirty_conns.push_back(c);
}

static void reply_ack(Conn *c, unsigned first, const char *id) {
    char bytes[4] = {static_cast<char>(first), 2, id[0], id[1]};
    reply(c, {bytes, 4});
}

// Own words first, then what its group has: one write where it has only one.
static void flush_batch(void) {
    for (Conn *c : dirty_conns) {
        c->is_dirty = false;
        if (c->waits || c->fd < 0) continue;
        if (c->of && c->of->is_dirty) continue; // goes along below
        std::string bytes;
        bytes.swap(c->out);
        write_out(c, bytes);
        if (c->out.empty()) c->out.swap(bytes), c->out.clear(); // keeps its room
    }
    dirty_conns.clear();
    for (Group *g : dirty_groups) {
        g->is_dirty = false;
        for (size_t i = g->members.size(); i > 0; i--) { // drop() may take the last one away
            Conn *c = g->members[i - 1];
            if (c->out.empty() || c->waits) { write_out(c, g->batch); continue; }
            c->out.append(g->batch);
            write_rest(c);
        }
        g->batch.clear();
    }
    dirty_groups.clear();
}

// ---- topics

static Group *group_of_filter(std::string_view filter) {
    bool is_prefix = filter.ends_with('#');
    if (is_prefix) filter.remove_suffix(1);
    for (auto &g : groups) if (g.filter == filter && g.is_prefix == is_prefix) return &g;
    Group *g = &groups.emplace_back();
    g->filter = filter;
    g->is_prefix = is_prefix;
    return g;
}

static Group *group_of_topic(std::string_view topic) {
    for (auto &g : groups) if (g.is_prefix ? topic.starts_with(g.filter) : topic == g.filter) return &g;
    return nullptr;
}

// ---- packets

static unsigned u16(std::string_view in, size_t at) {
    return static_cast<unsigned>(static_cast<uint8_t>(in[at]) << 8 | static_cast<uint8_t>(in[at + 1]));
}

static void on_connect(Conn *c, std::string_view body) {
    c->is_v5 = body.size() > 6 && body[6] == 5;
    reply(c, c->is_v5 ? std::string_view("\x20\x03\0\0\0", 5) : std::string_view("\x20\x02\0\0", 4));
}

static void on_subscribe(Conn *c, std::string_view body) {
    size_t at = c->is_v5 ? 3 : 2;
    if (body.size() < at + 3 || at + 2 + u16(body, at) > body.size()) return drop(c);
    if (!c->of) {
        c->of = group_of_filter(body.substr(at + 2, u16(body, at)));
        c->of->members.push_back(c);
    }
    char ack[6] = {static_cast<char>(0x90), static_cast<char>(c->is_v5 ? 4 : 3), body[0], body[1], 0, 0};
    reply(c, {ack, c->is_v5 ? 6u : 5u});
}

// Whole packet in, whole packet out.
static void on_publish(Conn *c, std::string_view packet, std::string_view body) {
    unsigned qos = packet[0] >> 1 & 3;
    if (body.size() < 2 || 2 + u16(body, 0) + 2 > body.size()) return drop(c);
    std::string_view topic = body.substr(2, u16(body, 0));
    if (topic != c->topic || !c->to) {
        c->topic = topic;
        c->to = group_of_topic(topic);
    }
    if (Group *g = c->to) {
        g->batch.append(packet);
        if (!g->is_dirty) {
            g->is_dirty = true;
            dirty_groups.push_back(g);
        }
    }
    if (qos) reply_ack(c, qos == 1 ? 0x40 : 0x50, body.data() + 2 + topic.size());
}

static void on_packet(Conn *c, std::string_view packet, std::string_view body) {
    switch (static_cast<uint8_t>(packet[0]) >> 4) {
    case 1: return on_connect(c, body);
    case 3: return on_publish(c, packet, body);
    case 5: return reply_ack(c, 0x62, body.data()); // PUBREC of a subscriber: PUBREL
    case 6: return reply_ack(c, 0x70, body.data()); // PUBREL of a publisher: PUBCOMP
    case 8: return on_subscribe(c, body);
    case 10: return reply_ack(c, 0xb0, body.data());
    case 12: return reply(c, std::string_view("\xd0\0", 2));
    case 14: return drop(c);
    default: return; // PUBACK and PUBCOMP of a subscriber
    }
}

// Size of the packet that begins here, 0 while it is not all there.
static size_t packet_size(std::string_view in, size_t *head) {
    size_t length = 0;
    for (size_t i = 1; i < 5 && i < in.size(); i++) {
        length |= static_cast<size_t>(in[i] & 0x7f) << (7 * (i - 1));
        if (in[i] & 0x80) continue;
        *head = i + 1;
        return in.size() >= i + 1 + length ? i + 1 + length : 0;
    }
    return 0;
}

static size_t cut(Conn *c, std::string_view in) {
    size_t taken = 0, head = 0;
    while (size_t size = packet_size(in, &head)) {
        on_packet(c, in.substr(0, size), in.substr(head, size - head));
        if (c->fd < 0) return taken;
        in.remove_prefix(size);
        taken += size;
    }
    return taken;
}

static void on_readable(Conn *c) {
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return drop(c);
    std::string_view bytes(buffer, static_cast<size_t>(n));
    if (c->in.empty()) {
        bytes.remove_prefix(cut(c, bytes));
        if (c->fd >= 0) c->in = bytes;
        return;
    }
    c->in.append(bytes);
    c->in.erase(0, cut(c, c->in));
}

static void on_accept(int listener) {
    int on = 1;
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        auto c = new Conn;
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD);
    }
}

static int open_listener(const char *port, const char *address) {
    int on = 1;
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<uint16_t>(atoi(port)));
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1) die(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, reinterpret_cast<sockaddr *>(&a), sizeof a) != 0 || listen(fd, 1024) != 0) die("listen");
    return fd;
}

static void raise_limit(void) {
    rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

int main(int argc, char **argv) {
    static epoll_event events[EVENTS_MAX];
    if (argc < 2) {
        fprintf(stderr, "usage: relay PORT [ADDRESS]\n");
        return 2;
    }
    raise_limit();
    int listener = open_listener(argv[1], argc > 2 ? argv[2] : "127.0.0.1");
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_event e = {};
    e.events = EPOLLIN;
    e.data.ptr = nullptr;
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);

    for (;;) {
        int n = epoll_wait(poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            auto c = static_cast<Conn *>(events[i].data.ptr);
            if (!c) { on_accept(listener); continue; }
            if (c->fd >= 0 && events[i].events & EPOLLOUT && c->waits) write_rest(c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
        }
        flush_batch();
        for (Conn *c : dead) delete c;
        dead.clear();
    }
}
