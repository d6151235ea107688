#include "net/upgrade.h"
#include "net/ws_conn.h"
#include "net_memory.h"

// Runs `test` with the peer's bytes in one piece, then one by one.
template <class F> static void both_ways(F test) {
    for (size_t read_max : {SIZE_MAX, size_t(1)}) {
        CAPTURE(read_max);
        NetWorld w;
        test(w, w.connect(w.web(), "127.0.0.1", read_max));
    }
}

static void upgrade(NetWorld &w, MemPeer *p) {
    p->in += upgrade_request();
    w.run();
    REQUIRE(p->owner.opened == 1);
}

TEST_CASE("a WebSocket opens with its upgrade, in one piece or byte by byte (WS-92, WS-33)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        CHECK(p->owner.opened == 0);
        upgrade(w, p);
        ServerFrames s = read_server(p->out);
        CHECK(s.head.find("HTTP/1.1 101 ") == 0);
        CHECK(s.head.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
        CHECK(s.frames == 0);
    });
}

TEST_CASE("an idle WebSocket costs 40 bytes more than plain TCP") {
    NetWorld w;
    upgrade(w, w.connect(w.web()));
    MemPeer *p = w.peers[0].get();
    p->in += client_frame(0x89, "ping") + client_frame("data");
    conn_send(p->conn, "answer");
    w.run();
    CHECK(sizeof(Ws) == 40);
    CHECK(p->conn->ws->extra == nullptr);
    CHECK(p->conn->ws->handshake == nullptr);
    CHECK(p->conn->out == nullptr);
}

TEST_CASE("frames behind the request are taken as frames (WS-28)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        p->in = upgrade_request() + client_frame("early") + client_frame("bird");
        w.run();
        CHECK(p->owner.data == "earlybird");
    });
}

TEST_CASE("MQTT bytes come through whatever the frames (WS-3, WS-4, WS-95)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        upgrade(w, p);
        std::string want;
        for (char c : std::string("CONNECT")) p->in += client_frame(Bytes(&c, 1));
        p->in += client_frame("SUBSCRIBE PUBLISH") + client_frame(0x02, "a") +
                 client_frame(0x89, "?") + client_frame(0x00, "b") + client_frame(0x80, "c");
        w.run();
        CHECK(p->owner.data == "CONNECTSUBSCRIBE PUBLISHabc");
        CHECK(read_server(p->out).pongs == std::vector<std::string>{"?"});
    });
}

TEST_CASE("the payload of one read is handed over in one piece") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    upgrade(w, p);
    std::string want;
    for (int i = 0; i < 500; i++) {
        std::string part(static_cast<size_t>(i % 60), static_cast<char>('a' + i % 26));
        p->in += client_frame(part);
        if (i % 7 == 0) p->in += client_frame(0x8a, "pong");
        want += part;
    }
    w.run();
    CHECK(p->owner.data == want);
    CHECK(p->owner.calls == 1);
}

TEST_CASE("all that is due in a turn goes out as one frame, in one write (WS-49, WS-84)") {
    for (size_t n : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 200000u}) {
        NetWorld w;
        MemPeer *p = w.connect(w.web());
        upgrade(w, p);
        int writes = p->writes;
        p->write_max = n > 60000 ? 0 : SIZE_MAX; // else 64 KiB would be written early
        std::string bytes(n, 'x');
        conn_send(p->conn, slice(bytes, 0, n / 2));
        conn_send(p->conn, slice(bytes, n / 2));
        w.run();
        p->write_max = SIZE_MAX;
        w.run();
        ServerFrames s = read_server(p->out);
        CHECK(s.data == bytes);
        CHECK(s.fault == "");
        if (n == 0) CHECK(p->writes == writes);
        else if (n < 60000) CHECK(p->writes == writes + 1);
        if (n && n < 60000) CHECK(s.frames == 1);
    }
}

TEST_CASE("partial writes at every byte give the exact same stream") {
    std::string whole;
    for (size_t step : {SIZE_MAX, size_t(1), size_t(2), size_t(3), size_t(5), size_t(7), size_t(130)}) {
        CAPTURE(step);
        NetWorld w;
        MemPeer *p = w.connect(w.web());
        p->write_max = step;
        upgrade(w, p);
        conn_send(p->conn, std::string(300, 'a'));
        w.run();
        p->in += client_frame(0x89, "ping");
        w.run();
        conn_send(p->conn, std::string(70000, 'b'));
        w.run();
        conn_send(p->conn, "c");
        conn_close(p->conn, WsClose::GoingAway);
        w.run();
        ServerFrames s = read_server(p->out);
        CHECK(s.fault == "");
        CHECK(s.data == std::string(300, 'a') + std::string(70000, 'b') + "c");
        CHECK(s.pongs.size() == 1);
        CHECK(s.code == 1001);
        if (step == SIZE_MAX) whole = p->out;
        CHECK(p->out == whole);
    }
}

TEST_CASE("pongs and a Close wait for the end of the frame under way") {
    for (size_t stop = 1; stop < 20; stop++) {
        NetWorld w;
        MemPeer *p = w.connect(w.web());
        upgrade(w, p);
        conn_send(p->conn, "0123456789");
        p->write_max = stop;
        net_end_turn(w.net);
        p->write_max = 0;
        p->in += client_frame(0x89, "one") + client_frame(0x89, "two");
        w.run();
        conn_send(p->conn, "more");
        conn_close(p->conn, WsClose::Normal);
        p->write_max = 1;
        w.run();
        ServerFrames s = read_server(p->out);
        CHECK(s.fault == "");
        CHECK(s.data == "0123456789more");
        CHECK(s.closed);
        CHECK(s.code == 1000);
    }
}

TEST_CASE("a ping gets a pong with its payload, of several the latest (WS-59, WS-60, WS-100)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        upgrade(w, p);
        p->in += client_frame(0x89, "");
        w.run();
        p->in += client_frame(0x89, std::string(125, 'p'));
        w.run();
        p->in += client_frame(0x8a, "unasked"); // WS-61
        w.run();
        ServerFrames s = read_server(p->out);
        CHECK(s.pongs == std::vector<std::string>{"", std::string(125, 'p')});
        CHECK(p->owner.data == "");
        CHECK(p->owner.closed == 0);
    });
}

TEST_CASE("10000 pings to a peer that does not read take no memory (WS-100)") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    upgrade(w, p);
    p->write_max = 0;
    p->in += client_frame(0x89, "first");
    w.run();
    size_t before = mem_used();
    for (int i = 0; i < 10000; i++) p->in += client_frame(0x89, std::to_string(i));
    w.run();
    CHECK(mem_used() == before);
    p->write_max = SIZE_MAX;
    w.run();
    CHECK(read_server(p->out).pongs == std::vector<std::string>{"9999"});
}

TEST_CASE("a Close is answered with its code and told as the peer's end (WS-63, WS-101)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        upgrade(w, p);
        p->in += client_frame("bye") + client_frame(0x88, Bytes("\x03\xe8", 2)) +
                 client_frame("too late");
        w.run();
        ServerFrames s = read_server(p->out);
        CHECK(s.closed);
        CHECK(s.code == 1000);
        CHECK(s.fault == "");
        CHECK(p->owner.data == "bye");
        CHECK(p->owner.closed == 1);
        CHECK(p->owner.cause == CloseCause::PeerClosed);
        CHECK(p->shut);
        w.pass(2100);
        CHECK(p->closed == 1);
        CHECK(p->owner.closed == 1);
    });
}

TEST_CASE("an empty Close is answered with 1000, others with their own code (WS-67)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        upgrade(w, p);
        p->in += client_frame(0x88, "");
        w.run();
        CHECK(read_server(p->out).code == 1000);
    });
    both_ways([](NetWorld &w, MemPeer *p) {
        upgrade(w, p);
        p->in += client_frame(0x88, Bytes("\x0f\xa1why", 5));
        w.run();
        CHECK(read_server(p->out).code == 4001);
    });
}

TEST_CASE("a broken rule is told with its code, after the data before it (WS-97, WS-98)") {
    struct {
        std::string frame;
        int code;
    } cases[] = {
        {client_frame(0x81, "text"), 1003},
        {client_frame(0xc2, "rsv"), 1002},
        {client_frame(0x83, "opcode"), 1002},
        {client_frame(0x80, "lone"), 1002},
        {client_frame(0x88, "\x01"), 1002},
        {client_frame(0x88, Bytes("\x03\xe7", 2)), 1002},
        {client_frame(0x88, Bytes("\x03\xe8\xc0\x80", 4)), 1007},
        {std::string("\x82\x05hello"), 1002},
    };
    for (auto &c : cases) {
        both_ways([&](NetWorld &w, MemPeer *p) {
            upgrade(w, p);
            p->in += client_frame("good") + c.frame + client_frame("ignored");
            w.run();
            CHECK(read_server(p->out).code == c.code);
            CHECK(p->owner.data == "good");
            CHECK(p->owner.closed == 1);
            CHECK(p->owner.cause == CloseCause::BadWebSocket);
        });
    }
}

TEST_CASE("the owner's end: MQTT bytes, then a Close, then the stream (WS-12)") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    upgrade(w, p);
    conn_send(p->conn, "DISCONNECT");
    conn_close(p->conn, WsClose::PolicyViolation);
    w.run();
    ServerFrames s = read_server(p->out);
    CHECK(s.data == "DISCONNECT");
    CHECK(s.code == 1008);
    CHECK(s.fault == "");
    p->in += client_frame(0x88, Bytes("\x03\xf0", 2));
    p->eof = true;
    w.run();
    CHECK(p->closed == 1);
    CHECK(p->owner.closed == 0);
}

TEST_CASE("an owner that ends in on_data hears nothing of the frames behind") {
    for (size_t read_max : {SIZE_MAX, size_t(20)}) {
        NetWorld w;
        MemPeer *p = w.connect(w.web(), "127.0.0.1", read_max);
        upgrade(w, p);
        w.on_data = [](Conn *c, MemPeer *, Bytes) { conn_close(c, WsClose::Normal); };
        p->in += client_frame("a") + client_frame(0x81, "text");
        w.run();
        CHECK(p->owner.data == "a");
        CHECK(p->owner.closed == 0);
        CHECK(read_server(p->out).code == 1000);
    }
}

TEST_CASE("an announced length takes no memory (WS-82, WS-104)") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    upgrade(w, p);
    size_t before = mem_used();
    p->in += Bytes("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x01\x02\x03\x04", 14);
    w.run();
    CHECK(mem_used() == before);
    p->in += std::string(1000, 'x');
    w.run();
    CHECK(p->owner.data.size() == 1000);
    CHECK(mem_used() == before);
}

TEST_CASE("a refused request is answered, told for the log, and closed (WS-93)") {
    both_ways([](NetWorld &w, MemPeer *p) {
        p->in = upgrade_request("", "foo") + "rest";
        w.run();
        CHECK(p->out.find("HTTP/1.1 400 Bad Request\r\n") == 0);
        CHECK(p->out.find("\x82") == std::string::npos);
        CHECK(p->shut);
        CHECK(w.refused == 1);
        CHECK(w.refused_cause == CloseCause::BadRequest);
        CHECK(p->owner.opened == 0);
        CHECK(p->owner.closed == 0);
        p->eof = true;
        w.run();
        CHECK(p->closed == 1);
    });
}

TEST_CASE("what is not HTTP is refused at its first byte (WS-34)") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    p->in = "\x10";
    w.run();
    CHECK(p->out.find("HTTP/1.1 400 ") == 0);
    CHECK(p->shut);
}

TEST_CASE("a wrong Origin is closed without a byte") {
    NetWorld w;
    ListenerOptions o;
    o.protocol = Protocol::WebSockets;
    vec_push(&o.websockets_origins, Bytes("https://good.example"));
    Listener *l = w.listen(o);
    vec_free(&o.websockets_origins);
    MemPeer *p = w.connect(l), *q = w.connect(l);
    p->in = upgrade_request("Origin: https://bad.example\r\n");
    q->in = upgrade_request("Origin: https://good.example\r\n");
    w.run();
    CHECK(p->out == "");
    CHECK(p->shut);
    CHECK(w.refused == 1);
    CHECK(q->owner.opened == 1);
}

TEST_CASE("plain HTTP gets the page, then the connection closes") {
    both_ways([](NetWorld &w, MemPeer *p) {
        p->in = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        w.run();
        CHECK(p->out.find("HTTP/1.1 200 OK\r\n") == 0);
        CHECK(p->out.find("</html>") != std::string::npos);
        CHECK(p->shut);
        CHECK(p->owner.opened == 0);
    });
}

TEST_CASE("the handshake has a time limit and holds only what came in (WS-30, WS-29)") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    p->in = "GET / HTTP/1.1\r\nA: b";
    size_t before = mem_used();
    w.run();
    CHECK(mem_used() - before <= 520);
    w.pass(9900);
    CHECK(p->closed == 0);
    p->in += "c"; // a trickle does not help
    w.pass(200);
    CHECK(p->closed == 1);
    CHECK(w.refused_cause == CloseCause::Timeout);
    CHECK(p->owner.closed == 0);
}

TEST_CASE("a peer that goes before its request is refused, not closed") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    p->in = "GET";
    p->eof = true;
    w.run();
    CHECK(p->closed == 1);
    CHECK(w.refused == 1);
    CHECK(w.refused_cause == CloseCause::PeerClosed);
    CHECK(p->owner.closed == 0);
}

TEST_CASE("a head of 8 KiB arrives in pieces, a larger one is refused (WS-29)") {
    for (size_t size : {HTTP_HEAD_MAX, HTTP_HEAD_MAX + 1}) {
        NetWorld w;
        MemPeer *p = w.connect(w.web(), "127.0.0.1", 999);
        std::string head = upgrade_request("X: \r\n");
        head = upgrade_request("X: " + std::string(size - head.size(), 'x') + "\r\n");
        REQUIRE(head.size() == size);
        p->in = head;
        w.run();
        CHECK(p->owner.opened == (size == HTTP_HEAD_MAX ? 1 : 0));
        if (size > HTTP_HEAD_MAX) CHECK(p->out.find("HTTP/1.1 431 ") == 0);
    }
}

TEST_CASE("a web request from home is at home only if it names home") {
    auto home = [](Bytes from, const std::string &request) {
        NetWorld w;
        MemPeer *p = w.connect(w.web(), from);
        p->in = request;
        w.run();
        REQUIRE(p->conn);
        return p->conn->home;
    };
    CHECK(home("127.0.0.1", upgrade_request()) == Home::Yes);
    CHECK(home("192.168.1.9", upgrade_request("Origin: http://nas.local\r\n")) == Home::Yes);
    CHECK(home("192.168.1.9", upgrade_request("Origin: https://evil.example\r\n")) ==
          Home::ForeignOrigin);
    CHECK(home("127.0.0.1", upgrade_request("X-Forwarded-For: 1.2.3.4\r\n")) == Home::Forwarded);
    std::string rebound = upgrade_request();
    rebound.replace(rebound.find("localhost:8080"), 14, "evil.example");
    CHECK(home("127.0.0.1", rebound) == Home::ForeignHost);
    CHECK(home("8.8.8.8", rebound) == Home::Stranger);
}

TEST_CASE("a paused WebSocket holds its frames in the kernel") {
    NetWorld w;
    MemPeer *p = w.connect(w.web());
    upgrade(w, p);
    p->read_max = 9;
    w.on_data = [](Conn *c, MemPeer *, Bytes) { conn_pause(c); };
    p->in += client_frame("abc") + client_frame("def");
    w.run();
    CHECK(p->owner.data == "abc");
    w.on_data = nullptr;
    conn_resume(p->conn);
    w.run();
    CHECK(p->owner.data == "abcdef");
}
