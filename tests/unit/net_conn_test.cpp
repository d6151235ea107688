#include "net/outbox.h"
#include "net_memory.h"

static std::string pattern(size_t n) {
    std::string s;
    for (size_t i = 0; i < n; i++) s += static_cast<char>(i * 31 + i / 251);
    return s;
}

TEST_CASE("a plain connection opens at once and hands on what comes in") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    CHECK(p->owner.opened == 1);
    CHECK(p->interest == READY_READ);
    p->in = "hello";
    w.run();
    CHECK(p->owner.data == "hello");
    CHECK(p->owner.calls == 1);
    CHECK(w.net->bytes_in == 5);
}

TEST_CASE("a connection costs 80 bytes, and none for output that is out") {
    CHECK(sizeof(Conn) == 80);
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    conn_send(p->conn, "x");
    CHECK(p->conn->out != nullptr);
    w.run();
    CHECK(p->conn->out == nullptr);
    CHECK(p->out == "x");
}

TEST_CASE("many sends of a turn are one write") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    for (int i = 0; i < 100; i++) conn_send(p->conn, "0123456789");
    CHECK(p->writes == 0);
    w.run();
    CHECK(p->writes == 1);
    CHECK(p->out.size() == 1000);
    CHECK(w.net->bytes_out == 1000);
}

TEST_CASE("an outbox of 64 KiB is written at once") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    std::string big = pattern(OUTBOX_WRITE_AT - 1);
    conn_send(p->conn, big);
    CHECK(p->writes == 0);
    conn_send(p->conn, "x");
    CHECK(p->out == big + "x");
    CHECK(p->conn->backlog == 0);
}

TEST_CASE("reserved room is sent as far as it is committed") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    std::string all;
    for (uint32_t n : {1u, 100u, 488u, 489u, 4096u, 4096u, 7u, 4000u}) {
        char *room = conn_reserve(p->conn, n);
        REQUIRE(room);
        std::string part = pattern(n / 2 + 1);
        memcpy(room, part.data(), part.size());
        conn_commit(p->conn, static_cast<uint32_t>(part.size()));
        all += part;
    }
    CHECK(p->conn->backlog == all.size());
    w.run();
    CHECK(p->out == all);
    REQUIRE(conn_reserve(p->conn, 10));
    conn_commit(p->conn, 0);
    w.run();
    CHECK(p->conn->out == nullptr);
}

TEST_CASE("a blob is referred to, held, and let go once it is written") {
    NetWorld w;
    Blob blob;
    std::string payload = pattern(100000);
    MemPeer *p = w.connect(w.plain()), *q = w.connect(w.listeners[0]);
    q->write_max = 0;
    conn_send(p->conn, "head");
    conn_send_blob(p->conn, &blob, payload);
    conn_send_blob(q->conn, &blob, Bytes(payload.data(), 50));
    conn_send(p->conn, "tail");
    blob_release(w.net, &blob);
    w.run();
    CHECK(p->out == "head" + payload + "tail");
    CHECK(w.blobs_freed == 0);
    CHECK(blob.refs == 1);
    conn_abort(q->conn);
    w.run();
    CHECK(w.blobs_freed == 1);
}

TEST_CASE("the same stream comes out however little the kernel takes at a time") {
    std::string big = pattern(5000), blob_bytes = pattern(777);
    for (size_t n = 1; n < 40; n++) {
        NetWorld w;
        Blob blob;
        MemPeer *p = w.connect(w.plain());
        p->write_max = n;
        conn_send(p->conn, "abc");
        conn_send_blob(p->conn, &blob, blob_bytes);
        conn_send(p->conn, big);
        w.run();
        CHECK(p->out == "abc" + blob_bytes + big);
        CHECK(blob.refs == 1);
        CHECK(p->interest == READY_READ);
    }
}

TEST_CASE("a connection that takes no more is blocked until it does") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_max = 0;
    conn_send(p->conn, "abc");
    CHECK_FALSE(conn_blocked(p->conn));
    w.run();
    CHECK(conn_blocked(p->conn));
    CHECK(p->interest == (READY_READ | READY_WRITE));
    int writes = p->writes;
    conn_send(p->conn, std::string(OUTBOX_WRITE_AT, 'x'));
    w.run();
    CHECK(p->writes == writes); // no use trying
    p->write_max = SIZE_MAX;
    w.run();
    CHECK_FALSE(conn_blocked(p->conn));
    CHECK(p->out.size() == 3 + OUTBOX_WRITE_AT);
    CHECK(p->interest == READY_READ);
}

TEST_CASE("on_drained comes once when a backlog has fallen to the low mark") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_max = 0;
    conn_send(p->conn, std::string(100000, 'x'));
    w.run();
    CHECK(p->owner.drained == 0);
    p->write_max = 1000;
    w.turn();
    CHECK(p->owner.drained == 0);
    while (p->conn->backlog > DRAINED_LOW) w.turn();
    CHECK(p->owner.drained == 1);
    w.run();
    CHECK(p->owner.drained == 1);
    conn_send(p->conn, "a little");
    w.run();
    CHECK(p->owner.drained == 1);
}

TEST_CASE("an owner that sends in on_drained is called once a turn, and gets all out") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    int left = 20;
    w.on_drained = [&](Conn *c, MemPeer *) {
        if (left-- > 0) conn_send(c, std::string(40000, 'y'));
    };
    conn_send(p->conn, std::string(40000, 'x'));
    w.turn();
    CHECK(p->owner.drained == 1);
    w.turn();
    CHECK(p->owner.drained == 2);
    w.run();
    CHECK(p->out.size() == 21 * 40000);
}

TEST_CASE("a paused connection gets no input until it is resumed") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    w.on_data = [](Conn *c, MemPeer *, Bytes) { conn_pause(c); };
    p->read_max = 3;
    p->in = "abcdef";
    w.run();
    CHECK(p->owner.data == "abc");
    CHECK(p->interest == 0);
    CHECK(conn_pending(p->conn) == 3);
    conn_on_readable(p->conn); // a late event
    CHECK(p->owner.data == "abc");
    conn_resume(p->conn);
    w.run();
    CHECK(p->owner.data == "abcdef");
}

TEST_CASE("the peer's end is told once, at the end of the turn") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->eof = true;
    conn_on_readable(p->conn);
    CHECK(p->owner.closed == 0);
    CHECK(conn_closing(p->conn));
    conn_send(p->conn, "too late");
    CHECK(conn_reserve(p->conn, 5) == nullptr);
    conn_on_readable(p->conn);
    w.run();
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::PeerClosed);
    CHECK(p->closed == 1);
    CHECK(p->out == "");
    CHECK(w.net->connections == 0);
}

TEST_CASE("a reset is told as an error") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->read_error = ECONNRESET;
    w.run();
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::Error);
}

TEST_CASE("after a write has failed, what the peer said before is still heard") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->in = "goodbye";
    p->eof = true;
    p->write_error = EPIPE;
    conn_send(p->conn, "abc");
    net_end_turn(w.net);
    REQUIRE(p->conn);
    CHECK(p->owner.closed == 0);
    conn_send(p->conn, "into the void");
    w.run();
    CHECK(p->owner.data == "goodbye");
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::Error);
}

TEST_CASE("a failed write without unread input ends the connection") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_error = ECONNRESET;
    conn_send(p->conn, "abc");
    w.run();
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::Error);
}

TEST_CASE("conn_close flushes, shuts down, lingers, and calls nobody") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    conn_send(p->conn, "last words");
    conn_close(p->conn, WsClose::Normal);
    CHECK(p->conn->user == nullptr);
    conn_send(p->conn, "nothing more");
    p->in = "ignored";
    w.run();
    CHECK(p->out == "last words");
    CHECK(p->shut);
    CHECK(p->closed == 0);
    CHECK(p->at == p->in.size()); // read and dropped
    p->eof = true;
    w.run();
    CHECK(p->closed == 1);
    CHECK(p->owner.data == "");
    CHECK(p->owner.closed == 0);
}

TEST_CASE("a peer that does not answer our end is left after two seconds (WS-69)") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    conn_close(p->conn, WsClose::Normal);
    w.run();
    CHECK(w.net->counted == 0);
    CHECK(w.net->connections == 1);
    w.pass(1900);
    CHECK(p->closed == 0);
    w.pass(200);
    CHECK(p->closed == 1);
    CHECK(p->owner.closed == 0);
    CHECK(w.net->connections == 0);
}

TEST_CASE("a peer that does not take our last words is cut off after some seconds") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_max = 0;
    conn_send(p->conn, "abc");
    w.run();
    conn_close(p->conn, WsClose::Normal);
    w.run();
    CHECK_FALSE(p->shut);
    w.pass(4900);
    CHECK(p->closed == 0);
    w.pass(200);
    CHECK(p->closed == 1);
}

TEST_CASE("a slow peer that takes our last words in time gets them all") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    p->write_max = 0;
    conn_send(p->conn, "abcdef");
    conn_close(p->conn, WsClose::Normal);
    w.run();
    p->eof = true; // only its own half
    w.run();
    CHECK(p->closed == 0);
    w.pass(3000);
    p->write_max = 2;
    w.run();
    CHECK(p->out == "abcdef");
    CHECK(p->closed == 1);
}

TEST_CASE("conn_abort ends at once, what was not written is lost") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    conn_send(p->conn, "abc");
    conn_abort(p->conn);
    conn_close(p->conn, WsClose::Normal);
    conn_abort(p->conn);
    w.run();
    CHECK(p->out == "");
    CHECK(p->closed == 1);
    CHECK(p->owner.closed == 0);
}

TEST_CASE("every callback may end the connection") {
    for (bool abort : {false, true}) {
        auto end = [abort](Conn *c) { abort ? conn_abort(c) : conn_close(c, WsClose::Normal); };
        NetWorld w;
        Listener *l = w.plain();
        w.on_open = [&](Conn *c, MemPeer *) { end(c); };
        MemPeer *opened = w.connect(l);
        w.on_open = nullptr;
        w.on_data = [&](Conn *c, MemPeer *, Bytes) { end(c); };
        MemPeer *fed = w.connect(l);
        fed->in = "x";
        w.on_drained = [&](Conn *c, MemPeer *) { end(c); };
        MemPeer *drained = w.connect(l);
        conn_send(drained->conn, std::string(40000, 'x'));
        w.on_closed = [&](Conn *c, MemPeer *) { end(c); };
        MemPeer *closed = w.connect(l);
        closed->eof = true;
        w.run();
        for (MemPeer *p : {opened, fed, drained, closed}) p->eof = true;
        w.run();
        for (MemPeer *p : {opened, fed, drained}) {
            CHECK(p->closed == 1);
            CHECK(p->owner.closed == 0);
        }
        CHECK(closed->owner.closed == 1);
        CHECK(drained->owner.drained == 1);
    }
}

TEST_CASE("what on_closed sends to others goes out in the same turn") {
    NetWorld w;
    Listener *l = w.plain();
    MemPeer *other = w.connect(l), *p = w.connect(l);
    w.on_closed = [&](Conn *, MemPeer *) { conn_send(other->conn, "will"); };
    p->eof = true;
    w.turn();
    CHECK(other->out == "will");
}

TEST_CASE("two that end each other's friends in on_closed come to an end") {
    NetWorld w;
    Listener *l = w.plain();
    std::vector<MemPeer *> all;
    for (int i = 0; i < 10; i++) all.push_back(w.connect(l));
    w.on_closed = [&](Conn *, MemPeer *) {
        for (MemPeer *q : all)
            if (q->conn && !conn_closing(q->conn)) return conn_abort(q->conn);
    };
    all[3]->eof = true;
    w.run();
    int gone = 0;
    for (MemPeer *q : all) gone += q->closed;
    CHECK(gone == 2);
    CHECK(all[3]->owner.closed == 1);
}

TEST_CASE("an outbox that cannot grow ends the connection") {
    NetWorld w;
    MemPeer *p = w.connect(w.plain());
    conn_send(p->conn, pattern(10000));
    mem_fail_after(1);
    conn_send(p->conn, pattern(40000));
    mem_fail_after(0);
    w.run();
    CHECK(p->owner.closed == 1);
    CHECK(p->owner.cause == CloseCause::NoMemory);
}

TEST_CASE("small chunks are reused, boundedly, and given back") {
    NetWorld w;
    Listener *l = w.plain();
    for (uint32_t i = 0; i < CHUNKS_POOLED_MAX + 50; i++) w.connect(l);
    for (auto &p : w.peers) conn_send(p->conn, "small");
    w.run();
    CHECK(w.net->chunks_pooled <= CHUNKS_POOLED_MAX);
    w.turn();
    CHECK(w.net->chunks_pooled == CHUNKS_POOLED_IDLE);
}

TEST_CASE("net_free ends what is left without calling anybody") {
    MemPeer *p;
    {
        NetWorld w;
        p = w.connect(w.plain());
        conn_send(p->conn, "abc");
        MemPeer *q = w.connect(w.listeners[0]), *r = w.connect(w.listeners[0]);
        conn_close(q->conn, WsClose::Normal);
        conn_abort(r->conn);
        w.on_closed = [](Conn *, MemPeer *) { FAIL("called"); };
        w.net->events.on_closed = [](Conn *, CloseCause) { FAIL("called"); };
        w.connect(w.web())->in = "GET /";
        w.turn();
    }
}

TEST_CASE("each cause has a text") {
    for (int i = 0; i <= static_cast<int>(CloseCause::NoMemory); i++)
        CHECK(std::string(close_cause_text(static_cast<CloseCause>(i))) != "");
}
