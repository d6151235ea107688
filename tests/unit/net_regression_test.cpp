// What a hostile reviewer has broken once: each of these failed before.
#include <sys/socket.h>
#include <unistd.h>

#include "net_memory.h"

static std::string foreign_request() {
    std::string r = upgrade_request();
    return r.replace(r.find("localhost:8080"), 14, "evil.example.com");
}

// It was counted for itself, and looked for among those of its /64.
TEST_CASE("an IPv6 peer at home that names a foreign Host leaves the counts as they were") {
    for (bool shows_itself : {false, true}) {
        CAPTURE(shows_itself);
        NetWorld w;
        w.net->options.max_connections_per_address = 2;
        w.net->options.max_unauthenticated_per_address = 1;
        Listener *l = w.web();
        MemPeer *p = w.connect(l, "fd00::1");
        REQUIRE(p->conn);
        p->in = foreign_request();
        w.run();
        CHECK(p->owner.opened == 1);
        CHECK(p->conn->home == Home::ForeignHost);
        CHECK_FALSE(w.connect(l, "fd00::1")->conn);
        MemPeer *neighbour = w.connect(l, "fd00::2"); // at home each device counts for itself
        CHECK(neighbour->conn);
        if (shows_itself) {
            conn_authenticated(p->conn);
            MemPeer *second = w.connect(l, "fd00::1");
            CHECK(second->conn);
            CHECK_FALSE(w.connect(l, "fd00::1")->conn);
            second->eof = true;
        }
        p->eof = neighbour->eof = true;
        w.run();
        CHECK(w.net->connections == 0);
        CHECK(w.net->counted == 0);
        CHECK(w.net->unauthenticated == 0);
        CHECK(l->connections == 0);
        CHECK(w.connect(l, "fd00::1")->conn); // nothing is left of it
    }
}

// Whatever the limits note in Watch::flags must not be taken for what the
// reactor's side notes there, which only a real descriptor shows.
TEST_CASE("over real sockets every kind of address is let in, served, and taken out of the counts") {
    for (const char *from : {"127.0.0.1", "8.8.8.8", "192.168.1.9", "::1", "fd00::1", "2001:db8::1"}) {
        CAPTURE(from);
        size_t before = mem_used();
        NetEvents e = {};
        e.on_open = [](Conn *c) { c->user = c; };
        e.on_data = [](Conn *c, Bytes v) {
            conn_send(c, v);
            conn_authenticated(c);
        };
        e.on_drained = [](Conn *) {};
        e.on_closed = [](Conn *, CloseCause) {};
        e.on_refused = [](Conn *, CloseCause, const char *) {};
        Net *net = net_create(e, nullptr, true);
        REQUIRE(net);
        net->neighbours.fixed = true;
        net->options.max_connections_per_address = 5;
        net_turn(net, 0);
        net_end_turn(net);
        Listener *l = listener_fake(net, {});
        int two[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two) == 0);
        Conn *c = conn_create(net, l, &SOCKET_OPS, two[0], NetWorld::address(from));
        CHECK(c);
        if (c) {
            char answer[8];
            REQUIRE(write(two[1], "abc", 3) == 3);
            net_turn(net, 0);
            net_end_turn(net);
            CHECK(read(two[1], answer, sizeof answer) == 3);
            CHECK(net->counted == 1);
            CHECK(net->unauthenticated == 0);
        }
        close(two[1]);
        net_turn(net, 0);
        net_end_turn(net);
        CHECK(net->connections == 0);
        CHECK(net->counted == 0);
        CHECK(net->unauthenticated == 0);
        listener_close(l);
        net_free(net);
        CHECK(mem_used() == before);
    }
}

// It is counted in 32 bits, and went round.
TEST_CASE("a backlog that would not fit its count ends the connection") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_max = 0;
    conn_send(p->conn, "abc");
    w.run();
    CHECK(p->conn->backlog == 3);
    p->conn->backlog = UINT32_MAX - 200; // as if it held all that
    conn_send(p->conn, std::string(1000, 'x'));
    CHECK(conn_closing(p->conn));
    w.run();
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::NoMemory);
}
