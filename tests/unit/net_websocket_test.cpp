#include "net/websocket.h"

#include "base_random.h"
#include "net_memory.h"

// Everything that a stream of frames amounts to, written down.
struct Told {
    std::string data;
    std::string controls; // "ping(x)", "close(...)"
    uint16_t code = 0;
    bool operator==(const Told &) const = default;
};

static Told feed(Bytes stream, size_t step) {
    WsParser p;
    Told t;
    std::string control;
    for (size_t at = 0; at < stream.size(); at += step) {
        Exact part(slice(stream, at, step));
        char *from = part.begin();
        for (;;) {
            WsEvent e = ws_next(&p, &from, part.end());
            if (e.step == WsStep::More) break;
            if (e.step == WsStep::Data) t.data += e.piece;
            if (e.step == WsStep::Control) control += e.piece;
            if (e.step == WsStep::ControlEnd) {
                const char *names[] = {"close(", "ping(", "pong("};
                t.controls += names[static_cast<int>(e.opcode) - 8] + control + ")";
                control.clear();
            }
            if (e.step == WsStep::Failed) {
                t.code = e.code;
                return t;
            }
        }
        CHECK(from == part.end());
    }
    return t;
}

// In one piece, byte by byte and in threes.
static Told tell(const std::string &stream) {
    Told t = feed(stream, stream.size());
    CHECK((feed(stream, 1) == t));
    CHECK((feed(stream, 3) == t));
    return t;
}

TEST_CASE("the sample frame of the checklist is unmasked") {
    Told t = tell(std::string("\x82\x82\x37\xFA\x21\x3D\xF7\xFA", 8));
    CHECK(t.data == std::string("\xC0\0", 2));
    CHECK(t.code == 0);
}

TEST_CASE("all forms of length are read (WS-99)") {
    for (size_t n : {0u, 1u, 125u, 126u, 127u, 65535u, 65536u, 70001u}) {
        std::string payload;
        for (size_t i = 0; i < n; i++) payload += static_cast<char>(i * 7);
        Told t = tell(client_frame(payload));
        CHECK(t.data == payload);
        CHECK(t.code == 0);
    }
}

TEST_CASE("a length not in its shortest form is refused (WS-45, WS-99)") {
    ClientFrame f;
    f.form = 126;
    CHECK(tell(client_frame("hello", f)).code == 1002);
    CHECK(tell(client_frame(std::string(125, 'a'), f)).code == 1002);
    f.form = 127;
    CHECK(tell(client_frame(std::string(65535, 'a'), f)).code == 1002);
}

TEST_CASE("a length with its highest bit set is refused at once (WS-46, WS-104)") {
    CHECK(tell(std::string("\x82\xff\x80", 3)).code == 1002);
    CHECK(tell(std::string("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00", 10)).code == 0);
}

TEST_CASE("each frame has its own key, zeros are one (WS-47)") {
    ClientFrame zero;
    zero.mask = 0;
    ClientFrame ones;
    ones.mask = 0xffffffff;
    CHECK(tell(client_frame("abcde", zero) + client_frame("fgh", ones) + client_frame("ij")).data ==
          "abcdefghij");
}

TEST_CASE("fragments, empty ones too, with control frames between (WS-51, WS-54, WS-96)") {
    Told t = tell(client_frame(0x02, "abc") + client_frame(0x89, "p1") + client_frame(0x00, "") +
                  client_frame(0x00, "def") + client_frame(0x8a, "") + client_frame(0x80, "") +
                  client_frame(0x82, "ghi"));
    CHECK(t.data == "abcdefghi");
    CHECK(t.controls == "ping(p1)pong()");
    CHECK(t.code == 0);
}

TEST_CASE("what breaks the framing fails with 1002 (WS-98)") {
    ClientFrame bare;
    bare.masked = false;
    CHECK(tell(client_frame("abc", bare)).code == 1002);
    bare.first = 0x89;
    CHECK(tell(client_frame("", bare)).code == 1002); // WS-41
    for (int first : {0xc2, 0xa2, 0x92, 0xf2, 0xc9})
        CHECK(tell(client_frame(static_cast<uint8_t>(first), "")).code == 1002); // WS-43
    for (int first : {0x83, 0x87, 0x8b, 0x8f, 0x03, 0x0b})
        CHECK(tell(client_frame(static_cast<uint8_t>(first), "")).code == 1002); // WS-44
    CHECK(tell(client_frame(0x80, "a")).code == 1002);      // WS-52
    CHECK(tell(client_frame(0x00, "a")).code == 1002);
    CHECK(tell(client_frame(0x02, "a") + client_frame(0x82, "b")).code == 1002); // WS-53
    CHECK(tell(client_frame(0x02, "a") + client_frame(0x81, "b")).code == 1002);
    for (int first : {0x08, 0x09, 0x0a})
        CHECK(tell(client_frame(static_cast<uint8_t>(first), "")).code == 1002); // WS-58
    CHECK(tell(client_frame(0x89, std::string(126, 'a'))).code == 1002); // WS-57
    CHECK(tell(client_frame(0x89, std::string(125, 'a'))).code == 0);
}

TEST_CASE("data before a mistake still counts") {
    Told t = tell(client_frame("good") + client_frame(0x83, "bad"));
    CHECK(t.data == "good");
    CHECK(t.code == 1002);
}

TEST_CASE("a text frame fails with 1003, whole or fragmented (WS-2, WS-97)") {
    CHECK(tell(client_frame(0x81, "abc")).code == 1003);
    CHECK(tell(client_frame(0x01, "abc")).code == 1003);
    CHECK(tell(client_frame("x") + client_frame(0x81, "abc")).code == 1003);
}

TEST_CASE("a flood of empty frames fails with 1008 (WS-50)") {
    std::string some, many;
    for (int i = 0; i < WS_EMPTY_MAX; i++) some += client_frame("");
    CHECK(tell(some).code == 0);
    CHECK(tell(some + client_frame("x") + some).code == 0);
    CHECK(tell(some + client_frame("")).code == 1008);
}

TEST_CASE("the payload of a Close is judged (WS-64 to WS-67)") {
    auto judge = [](Bytes v) { return ws_judge_close(Exact(v).bytes()); };
    auto code = [](int n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n)}; };
    CHECK(judge("").code == 1000);
    CHECK(judge("").is_valid);
    CHECK(judge("\x03").code == 1002);
    for (int n : {1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999}) {
        CHECK(judge(code(n)).is_valid);
        CHECK(judge(code(n) + "gr\xc3\xbc\xc3\x9f").code == n);
    }
    for (int n : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535}) {
        CHECK_FALSE(judge(code(n)).is_valid);
        CHECK(judge(code(n)).code == 1002);
    }
}

TEST_CASE("a Close's reason must be UTF-8 (WS-65)") {
    auto judge = [](Bytes reason) {
        return ws_judge_close(Exact(std::string("\x03\xe8") + std::string(reason)).bytes()).code;
    };
    for (Bytes good : {Bytes("a"), Bytes("\xc2\x80"), Bytes("\xdf\xbf"), Bytes("\xe0\xa0\x80"),
                       Bytes("\xed\x9f\xbf"), Bytes("\xef\xbf\xbf"), Bytes("\xf0\x90\x80\x80"),
                       Bytes("\xf4\x8f\xbf\xbf")})
        CHECK(judge(good) == 1000);
    for (Bytes bad : {Bytes("\xc0\x80"), Bytes("\xc1\xbf"), Bytes("\x80"), Bytes("\xc2"),
                      Bytes("\xe0\x9f\xbf"), Bytes("\xed\xa0\x80"), Bytes("\xe2\x82"),
                      Bytes("\xf0\x8f\xbf\xbf"), Bytes("\xf4\x90\x80\x80"), Bytes("\xf5\x80\x80\x80"),
                      Bytes("\xff"), Bytes("\xf0\x90\x80"), Bytes("a\xc3")})
        CHECK(judge(bad) == 1007);
}

TEST_CASE("our frame headers use the shortest form and no mask (WS-42, WS-49)") {
    auto head = [](uint32_t n) {
        char out[WS_FRAME_HEAD_MAX];
        return std::string(out, ws_frame_head(out, WsFrameType::Binary, n));
    };
    CHECK(head(0) == std::string("\x82\0", 2));
    CHECK(head(125) == "\x82\x7d");
    CHECK(head(126) == std::string("\x82\x7e\0\x7e", 4));
    CHECK(head(65535) == "\x82\x7e\xff\xff");
    CHECK(head(65536) == std::string("\x82\x7f\0\0\0\0\0\x01\0\0", 10));
}

TEST_CASE("random bytes and random splits: the same story however they come") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    for (int round = 0; round < 300; round++) {
        std::string s;
        for (uint64_t i = random.below(8); i > 0; i--) {
            uint8_t firsts[] = {0x82, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88};
            std::string payload(random.below(200), 'x');
            s += client_frame(firsts[random.below(7)], slice(payload, random.below(150)));
        }
        if (random.one_in(3))
            for (int i = 0; i < 20; i++) s += static_cast<char>(random.next());
        Told whole = feed(s, s.size() + 1);
        CHECK((feed(s, 1 + random.below(40)) == whole));
        CHECK((feed(s, 1) == whole));
    }
}
