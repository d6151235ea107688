#include "net_memory.h"

TEST_CASE("max_connections holds for all listeners together") {
    NetWorld w;
    w.net->options.max_connections = 2;
    Listener *a = w.plain(), *b = w.plain();
    MemPeer *p = w.connect(a);
    w.connect(b);
    MemPeer *refused = w.connect(a);
    CHECK(refused->closed == 1);
    CHECK(refused->owner.opened == 0);
    CHECK(refused->out == "");
    CHECK(w.refused == 1);
    CHECK(w.net->refused == 1);
    CHECK(w.net->connections == 2);

    p->eof = true;
    w.run();
    CHECK(w.connect(b)->conn);
}

TEST_CASE("a listener has its own limit") {
    NetWorld w;
    ListenerOptions o;
    o.max_connections = 1;
    Listener *l = w.listen(o);
    CHECK(w.connect(l)->conn);
    CHECK_FALSE(w.connect(l)->conn);
    CHECK(w.connect(w.plain())->conn);
    o.max_connections = 2;
    listener_change(l, o);
    CHECK(w.connect(l)->conn);
    CHECK(l->connections == 2);
}

TEST_CASE("a WebSocket peer over the limit is told 503 (WS-31)") {
    NetWorld w;
    w.net->options.max_connections = 0;
    MemPeer *p = w.connect(w.web());
    CHECK(p->closed == 1);
    CHECK(p->out.find("HTTP/1.1 503 Service Unavailable\r\n") == 0);
    CHECK(p->out.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("a connection that is ending no longer counts") {
    NetWorld w;
    w.net->options.max_connections = 1;
    Listener *l = w.plain();
    MemPeer *p = w.connect(l);
    conn_close(p->conn, WsClose::Normal);
    CHECK(w.connect(l)->conn);
    CHECK(l->connections == 1);
    CHECK(w.net->connections == 2);
}

TEST_CASE("those who have not authenticated have a limit of their own") {
    NetWorld w;
    w.net->options.max_unauthenticated = 2;
    Listener *l = w.plain();
    MemPeer *a = w.connect(l), *b = w.connect(l);
    CHECK_FALSE(w.connect(l)->conn);
    conn_authenticated(a->conn);
    conn_authenticated(a->conn);
    CHECK(w.net->unauthenticated == 1);
    CHECK(w.connect(l)->conn);
    CHECK_FALSE(w.connect(l)->conn);
    conn_abort(b->conn);
    w.run();
    CHECK(w.connect(l)->conn);
}

TEST_CASE("one address has at most so many that have not authenticated") {
    NetWorld w;
    w.net->options.max_unauthenticated_per_address = 2;
    Listener *l = w.plain();
    MemPeer *a = w.connect(l, "8.8.8.8");
    CHECK(w.connect(l, "8.8.8.8")->conn);
    CHECK_FALSE(w.connect(l, "8.8.8.8")->conn);
    CHECK(w.connect(l, "8.8.4.4")->conn);
    conn_authenticated(a->conn);
    CHECK(w.connect(l, "8.8.8.8")->conn);
    for (int i = 0; i < 5; i++) CHECK(w.connect(l, "127.0.0.1")->conn); // no limit at home
}

TEST_CASE("a stranger's /64 counts as one address") {
    NetWorld w;
    w.net->options.max_unauthenticated_per_address = 1;
    Listener *l = w.plain();
    CHECK(w.connect(l, "2001:db8:1:1::1")->conn);
    CHECK_FALSE(w.connect(l, "2001:db8:1:1:2::2")->conn);
    CHECK(w.connect(l, "2001:db8:1:2::1")->conn);
    CHECK(w.connect(l, "fd00::1")->conn); // at home each device counts for itself
    CHECK(w.connect(l, "fd00::2")->conn);
}

TEST_CASE("all connections of one address can be limited, even while that is changed") {
    NetWorld w;
    Listener *l = w.plain();
    MemPeer *before = w.connect(l, "8.8.8.8");
    w.net->options.max_connections_per_address = 1;
    MemPeer *a = w.connect(l, "8.8.8.8");
    conn_authenticated(a->conn);
    CHECK_FALSE(w.connect(l, "8.8.8.8")->conn);
    conn_abort(before->conn); // was never counted
    w.run();
    CHECK_FALSE(w.connect(l, "8.8.8.8")->conn);
    conn_abort(a->conn);
    w.run();
    CHECK(w.connect(l, "8.8.8.8")->conn);
}

TEST_CASE("a refused upgrade gives its place back") {
    NetWorld w;
    w.net->options.max_unauthenticated_per_address = 1;
    Listener *l = w.web();
    MemPeer *p = w.connect(l, "8.8.8.8");
    p->in = "\x16";
    w.run();
    CHECK(w.connect(l, "8.8.8.8")->conn);
}
