// unit/net_memory.h -- connections over memory, for the tests of net/.
//
//     NetWorld w;
//     MemPeer *p = w.connect(w.plain());
//     p->in = "abc";            // what the peer has sent
//     w.run();                  // turns, until nothing moves any more
//     CHECK(p->owner.data == "abc");
//
// The end of a NetWorld checks that all its memory is given back.
#pragma once

#include <doctest/doctest.h>
#include <errno.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mem.h"
#include "net/net.h"

// What the owner of a connection has seen.
struct Seen {
    std::string data;
    int opened = 0, closed = 0, drained = 0, calls = 0;
    CloseCause cause = CloseCause::Error;
};

struct MemPeer {
    Conn *conn = nullptr;       // null once it is closed
    std::string in;             // what the peer has sent
    size_t at = 0;              // what of it was read
    size_t read_max = SIZE_MAX; // bytes for each read
    bool eof = false;           // the peer has ended its sending
    int read_error = 0;
    std::string out;            // what came to the peer
    size_t write_max = SIZE_MAX; // bytes for each write; 0: EAGAIN
    int write_error = 0;
    int writes = 0;
    bool shut = false;          // our side has ended its sending
    int closed = 0;
    uint8_t interest = 0;
    Seen owner;
};

struct NetWorld {
    size_t mem_before = mem_used();
    Net *net = nullptr;
    std::vector<std::unique_ptr<MemPeer>> peers;
    std::vector<Listener *> listeners;
    std::function<void(Conn *, MemPeer *)> on_open, on_drained, on_closed;
    std::function<void(Conn *, MemPeer *, Bytes)> on_data;
    int blobs_freed = 0, refused = 0;
    std::string why;
    CloseCause refused_cause = CloseCause::PeerClosed;

    static NetWorld *of(Conn *c) { return static_cast<NetWorld *>(conn_net(c)->ops_user); }
    static MemPeer *peer(Conn *c) {
        return of(c)->peers[static_cast<size_t>(c->watch.fd)].get();
    }

    static ssize_t mem_read(Conn *c, void *out, size_t n) {
        MemPeer *p = peer(c);
        n = std::min({n, p->read_max, p->in.size() - p->at});
        if (n) {
            memcpy(out, p->in.data() + p->at, n);
            p->at += n;
            return static_cast<ssize_t>(n);
        }
        if (p->eof) return 0;
        errno = p->read_error ? p->read_error : EAGAIN;
        return -1;
    }
    static ssize_t mem_writev(Conn *c, const iovec *iov, int count) {
        MemPeer *p = peer(c);
        p->writes++;
        if (p->write_error || !p->write_max) {
            errno = p->write_error ? p->write_error : EAGAIN;
            return -1;
        }
        size_t room = p->write_max, total = 0;
        for (int i = 0; i < count; i++) {
            size_t n = std::min(room, iov[i].iov_len);
            p->out.append(static_cast<const char *>(iov[i].iov_base), n);
            room -= n;
            total += n;
        }
        return static_cast<ssize_t>(total);
    }
    static void mem_interest(Conn *c, uint8_t i) { peer(c)->interest = i; }
    static void mem_shutdown(Conn *c) { peer(c)->shut = true; }
    static void mem_close(Conn *c) {
        peer(c)->closed++;
        peer(c)->conn = nullptr;
    }
    static size_t mem_pending(Conn *c) { return peer(c)->in.size() - peer(c)->at; }

    static inline const ConnOps OPS = {mem_read,     mem_writev, mem_interest,
                                       mem_shutdown, mem_close,  mem_pending};

    explicit NetWorld() {
        NetEvents e = {};
        e.on_open = [](Conn *c) {
            MemPeer *p = peer(c);
            CHECK(c->user == nullptr);
            c->user = p;
            p->owner.opened++;
            if (of(c)->on_open) of(c)->on_open(c, p);
        };
        e.on_data = [](Conn *c, Bytes v) {
            auto *p = static_cast<MemPeer *>(c->user);
            p->owner.data.append(v);
            p->owner.calls++;
            if (of(c)->on_data) of(c)->on_data(c, p, v);
        };
        e.on_drained = [](Conn *c) {
            auto *p = static_cast<MemPeer *>(c->user);
            p->owner.drained++;
            if (of(c)->on_drained) of(c)->on_drained(c, p);
        };
        e.on_closed = [](Conn *c, CloseCause cause) {
            auto *p = static_cast<MemPeer *>(c->user);
            p->owner.closed++;
            p->owner.cause = cause;
            if (of(c)->on_closed) of(c)->on_closed(c, p);
        };
        e.on_blob_free = [](void *owner, Blob *) {
            static_cast<NetWorld *>(owner)->blobs_freed++;
        };
        e.on_refused = [](Conn *c, CloseCause cause, const char *text) {
            of(c)->refused++;
            of(c)->refused_cause = cause;
            of(c)->why = text;
        };
        net = net_create(e, this, false);
        net->ops_user = this;
        net->neighbours.fixed = true;
        net_advance(net, 1000000);
    }
    NetWorld(const NetWorld &) = delete;
    NetWorld &operator=(const NetWorld &) = delete;
    ~NetWorld() {
        for (Listener *l : listeners) listener_close(l);
        net_free(net);
        CHECK(mem_used() == mem_before);
    }

    Listener *listen(const ListenerOptions &o) {
        listeners.push_back(listener_fake(net, o));
        return listeners.back();
    }
    Listener *plain() {
        ListenerOptions o;
        return listen(o);
    }
    Listener *web() {
        ListenerOptions o;
        o.protocol = Protocol::WebSockets;
        return listen(o);
    }

    static Addr address(Bytes text) {
        Addr a;
        REQUIRE(addr_parse_ip(text, &a));
        a.port = 4711;
        return a;
    }
    MemPeer *connect(Listener *l, Bytes from = "127.0.0.1", size_t read_max = SIZE_MAX) {
        peers.push_back(std::make_unique<MemPeer>());
        MemPeer *p = peers.back().get();
        p->read_max = read_max;
        Conn *c = conn_create(net, l, &OPS, static_cast<int>(peers.size() - 1), address(from));
        if (!p->closed) p->conn = c;
        return p;
    }

    // One turn; false if nothing moved.
    bool turn() {
        bool moved = false;
        for (size_t i = 0; i < peers.size(); i++) {
            MemPeer *p = peers[i].get();
            bool readable = p->at < p->in.size() || p->eof || p->read_error;
            if (p->conn && readable && (p->interest & READY_READ)) {
                conn_on_readable(p->conn);
                moved = true;
            }
            if (p->conn && p->write_max && (p->interest & READY_WRITE)) {
                conn_on_writable(p->conn);
                moved = true;
            }
        }
        net_end_turn(net);
        for (auto &p : peers)
            if (p->conn && p->write_max && (p->interest & READY_WRITE)) moved = true;
        return moved || net->dirty || net->reap;
    }
    void run() {
        int turns = 0;
        while (turn()) REQUIRE(++turns < 200000);
    }
    void pass(uint64_t ms) {
        net_advance(net, net->now_ms + ms);
        run();
    }
};

// A copy in a block of exactly its size: sanitizers see the first byte too far.
struct Exact {
    std::unique_ptr<char[]> data;
    size_t size;
    explicit Exact(Bytes v) : data(new char[v.size()]), size(v.size()) {
        std::copy(v.begin(), v.end(), data.get());
    }
    Bytes bytes() const { return Bytes(data.get(), size); }
    char *begin() { return data.get(); }
    char *end() { return data.get() + size; }
};

// The frames of a client.
struct ClientFrame {
    uint8_t first = 0x82;  // FIN and opcode
    bool masked = true;
    uint32_t mask = 0x37fa213d;
    int form = 0;          // 0: the shortest; 126, 127: that form
};

inline std::string client_frame(Bytes payload, ClientFrame f = {}) {
    std::string s(1, static_cast<char>(f.first));
    uint64_t n = payload.size();
    int form = f.form ? f.form : n < 126 ? static_cast<int>(n) : n < 65536 ? 126 : 127;
    s += static_cast<char>(form | (f.masked ? 0x80 : 0));
    int bytes = form == 126 ? 2 : form == 127 ? 8 : 0;
    for (int i = bytes - 1; i >= 0; i--) s += static_cast<char>(n >> 8 * i);
    char key[4];
    for (int i = 0; i < 4; i++) key[i] = static_cast<char>(f.mask >> 8 * (3 - i));
    if (f.masked) s.append(key, 4);
    for (size_t i = 0; i < n; i++)
        s += static_cast<char>(f.masked ? payload[i] ^ key[i % 4] : payload[i]);
    return s;
}
inline std::string client_frame(uint8_t first, Bytes payload) {
    ClientFrame f;
    f.first = first;
    return client_frame(payload, f);
}

// What a server's stream holds, after the HTTP answer.
struct ServerFrames {
    std::string head;      // the HTTP answer
    std::string data;      // of all binary frames
    std::vector<std::string> pongs;
    int frames = 0;        // binary ones
    bool closed = false;
    int code = 0;          // of the Close; 0: none
    std::string fault;     // a rule that the server has broken
};

inline ServerFrames read_server(const std::string &stream) {
    ServerFrames r;
    size_t at = stream.find("\r\n\r\n");
    if (at == std::string::npos) return r;
    r.head = stream.substr(0, at + 4);
    at += 4;
    while (at < stream.size()) {
        auto byte = [&](size_t i) { return static_cast<uint8_t>(i < stream.size() ? stream[i] : 0); };
        if (r.closed) r.fault = "something behind the Close";
        uint8_t first = byte(at), second = byte(at + 1);
        at += 2;
        uint64_t n = second & 0x7f;
        if (second & 0x80) r.fault = "masked";
        int bytes = n == 126 ? 2 : n == 127 ? 8 : 0;
        if (bytes) n = 0;
        for (int i = 0; i < bytes; i++) n = n << 8 | byte(at++);
        if ((bytes == 2 && n < 126) || (bytes == 8 && n < 65536)) r.fault = "not the shortest form";
        if (at + n > stream.size()) {
            r.fault = "cut off";
            return r;
        }
        std::string payload = stream.substr(at, n);
        at += n;
        if (first == 0x82) {
            r.data += payload;
            r.frames++;
        } else if (first == 0x8a) {
            r.pongs.push_back(payload);
        } else if (first == 0x88) {
            r.closed = true;
            if (payload.size() >= 2)
                r.code = static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]);
        } else {
            r.fault = "first byte " + std::to_string(first);
        }
    }
    return r;
}

inline std::string upgrade_request(Bytes extra = "", Bytes protocol = "mqtt") {
    return "GET /mqtt HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\n"
           "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " +
           std::string(protocol) + "\r\n" + std::string(extra) + "\r\n";
}
