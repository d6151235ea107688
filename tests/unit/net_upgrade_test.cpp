#include "net/upgrade.h"

#include "net_memory.h"

struct Asked {
    UpgradeVerdict verdict;
    std::string answer;
};

static Asked ask(const std::string &head, const Vec<Bytes> &origins = {}) {
    Exact copy(head);
    HttpParser p;
    Upgrade u;
    Asked a;
    HttpResult r = http_feed(&p, copy.bytes());
    char out[UPGRADE_ANSWER_MAX];
    if (r != HttpResult::Done) {
        a.verdict = upgrade_judge_broken(r);
        a.answer = std::string(out, upgrade_answer(nullptr, a.verdict.status, out));
        return a;
    }
    upgrade_read(slice(copy.bytes(), 0, p.at), &u);
    a.verdict = upgrade_judge(u, origins);
    a.answer = std::string(out, upgrade_answer(&u, a.verdict.status, out));
    return a;
}

static std::string replaced(std::string s, const std::string &from, const std::string &to) {
    size_t at = s.find(from);
    REQUIRE(at != std::string::npos);
    return s.replace(at, from.size(), to);
}

static int status_with(const std::string &from, const std::string &to) {
    return ask(replaced(upgrade_request(), from, to)).verdict.status;
}

TEST_CASE("the answer is Mosquitto's, byte for byte (WS-35, WS-36)") {
    CHECK(ask(upgrade_request()).answer ==
          "HTTP/1.1 101 Switching Protocols\r\n"
          "Upgrade: WebSocket\r\n"
          "Connection: Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
          "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
}

TEST_CASE("header names may be in any case (WS-92)") {
    std::string upper, lower;
    for (char c : upgrade_request()) {
        upper += static_cast<char>(c == 'c' ? 'C' : c); // of Sec, Connection ... and of mqtt none
        lower += c;
    }
    std::string odd = replaced(upgrade_request(), "Sec-WebSocket-Key", "sEC-wEBsOCKET-kEY");
    odd = replaced(replaced(odd, "Upgrade: websocket", "uPGRADE: WebSocket"), "Host", "hOST");
    odd = replaced(odd, "Sec-WebSocket-Version", "SEC-WEBSOCKET-VERSION");
    odd = replaced(odd, "Sec-WebSocket-Protocol", "sec-websocket-protocol");
    odd = replaced(odd, "Connection: keep-alive, Upgrade", "CONNECTION:upgrade");
    CHECK(ask(odd).answer == ask(upgrade_request()).answer);
    CHECK(ask(upper).verdict.status == 101);
}

TEST_CASE("each duty of the request, broken alone, gets its status (WS-93)") {
    CHECK(status_with("GET", "POST") == 405);                                  // WS-14
    CHECK(status_with("GET", "HEAD") == 405);
    CHECK(status_with("HTTP/1.1", "HTTP/1.0") == 400);                         // WS-15
    CHECK(status_with("HTTP/1.1", "HTTP/2.0") == 505);
    CHECK(status_with("HTTP/1.1", "HTTP/1.2") == 101);
    CHECK(status_with("/mqtt", "/any/path?with=query") == 101);                // WS-16
    CHECK(status_with("/mqtt", "http://broker/mqtt") == 101);
    CHECK(status_with("Host: localhost:8080\r\n", "") == 400);                 // WS-17
    CHECK(status_with("Host:", "Host: a\r\nHost:") == 400);
    CHECK(status_with("Upgrade: websocket\r\n", "") == 426);                   // WS-18
    CHECK(status_with("Upgrade: websocket", "Upgrade: h2c") == 426);
    CHECK(status_with("Upgrade: websocket", "Upgrade: h2c, WebSocket") == 101);
    CHECK(status_with("keep-alive, Upgrade", "keep-alive") == 400);            // WS-19
    CHECK(status_with("keep-alive, Upgrade", "close\r\nConnection: upgrade") == 101);
    CHECK(status_with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j") == 400); // WS-20
    CHECK(status_with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=a") == 400);
    CHECK(status_with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub2\x35jZ\\==") == 400);
    CHECK(status_with("Sec-WebSocket-Key:", "Sec-WebSocket-Key: x\r\nSec-WebSocket-Key:") == 400);
    CHECK(status_with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "") == 400);
    CHECK(status_with("Version: 13", "Version: 8") == 426);                    // WS-21
    CHECK(status_with("Sec-WebSocket-Version: 13\r\n", "") == 426);
    CHECK(status_with("Host:", "Content-Length: 5\r\nHost:") == 400);          // WS-27
    CHECK(status_with("Host:", "Content-Length: x\r\nHost:") == 400);
    CHECK(status_with("Host:", "Content-Length: 0\r\nHost:") == 101);
    CHECK(status_with("Host:", "Transfer-Encoding: chunked\r\nHost:") == 400);
    CHECK(status_with("Host:", "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                               "Cookie: a=b\r\nAuthorization: Basic x\r\nHost:") == 101); // WS-25, WS-26
    CHECK(ask("\x16\x03\x01").verdict.status == 400);                          // WS-34
    CHECK(ask("GET /" + std::string(9000, 'a')).verdict.status == 414);        // WS-29
    CHECK(ask("GET / HTTP/1.1\r\nA: " + std::string(9000, 'a')).verdict.status == 431);
}

TEST_CASE("the subprotocol is chosen as offered (WS-94)") {
    auto chosen = [](Bytes offer) {
        Asked a = ask(upgrade_request("", offer));
        if (a.verdict.status != 101) return std::to_string(a.verdict.status);
        size_t at = a.answer.find("Protocol: ") + 10;
        return a.answer.substr(at, a.answer.find("\r\n", at) - at);
    };
    CHECK(chosen("mqtt") == "mqtt");
    CHECK(chosen("mqttv3.1") == "mqttv3.1");
    CHECK(chosen("mqttv3.1, mqtt") == "mqtt");
    CHECK(chosen("foo\r\nSec-WebSocket-Protocol: mqtt") == "mqtt");
    CHECK(chosen("MQTT") == "400");
    CHECK(chosen("foo") == "400");
    CHECK(status_with("Sec-WebSocket-Protocol: mqtt\r\n", "") == 400);
}

TEST_CASE("a list of origins is held; without Origin it is no browser (WS-22, WS-23)") {
    Vec<Bytes> origins;
    vec_push(&origins, Bytes("https://a.example"));
    vec_push(&origins, Bytes("null"));
    auto status = [&](Bytes origin) {
        return ask(upgrade_request("Origin: " + std::string(origin) + "\r\n"), origins).verdict.status;
    };
    CHECK(status("https://a.example") == 101);
    CHECK(status("https://A.Example") == 101);
    CHECK(status("null") == 101);
    CHECK(status("https://a.example:444") == 0);
    CHECK(status("http://a.example") == 0);
    CHECK(status("https://evil.example") == 0);
    CHECK(status("https://a.example\r\nOrigin: https://a.example") == 400);
    CHECK(ask(upgrade_request(), origins).verdict.status == 101);
    CHECK(ask(upgrade_request("Origin: https://any.example\r\n")).verdict.status == 101);
    vec_free(&origins);
}

TEST_CASE("plain HTTP gets a page that says what the port is for") {
    Asked a = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(a.verdict.status == 200);
    size_t body = a.answer.find("\r\n\r\n") + 4;
    size_t length = a.answer.find("Content-Length: ") + 16;
    CHECK(std::stoul(a.answer.substr(length)) == a.answer.size() - body);
    CHECK(a.answer.find("nosniff") < body);
    CHECK(a.answer.find("Connection: close\r\n") < body);
    CHECK(a.answer.find("MQTT over WebSocket", body) != std::string::npos);

    Asked head = ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(head.answer == a.answer.substr(0, body));
    CHECK(ask("GET / HTTP/1.0\r\n\r\n").verdict.status == 200);
    CHECK(ask("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").answer.find("Allow: GET, HEAD\r\n") !=
          std::string::npos);
}

TEST_CASE("errors are complete answers that close and echo nothing (WS-32)") {
    for (int status : {400, 405, 414, 426, 431, 500, 503, 505}) {
        char out[UPGRADE_ANSWER_MAX];
        std::string a(out, upgrade_answer(nullptr, static_cast<uint16_t>(status), out));
        CHECK(a.find("HTTP/1.1 " + std::to_string(status) + " ") == 0);
        CHECK(a.find("close\r\n") != std::string::npos);
        CHECK(a.find("\r\n\r\n") != std::string::npos);
        size_t body = a.find("\r\n\r\n") + 4, length = a.find("Content-Length: ") + 16;
        CHECK(std::stoul(a.substr(length)) == a.size() - body);
    }
}
