#include "net/http.h"

#include "net_memory.h"

// In one piece, and byte by byte in a block that grows: the same.
static HttpResult parse(Bytes text, uint32_t *at = nullptr) {
    HttpParser whole, piecewise;
    Exact copy(text);
    HttpResult one = http_feed(&whole, copy.bytes()), two = HttpResult::More;
    for (size_t n = 1; n <= text.size() && two == HttpResult::More; n++)
        two = http_feed(&piecewise, Exact(slice(text, 0, n)).bytes());
    CHECK(one == two);
    CHECK(whole.at == piecewise.at);
    if (at) *at = whole.at;
    return one;
}

TEST_CASE("a request is split into its parts") {
    Bytes head = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nEmpty:\r\nA-B:  two words \t\r\n\r\n";
    uint32_t at = 0;
    CHECK(parse(head, &at) == HttpResult::Done);
    CHECK(at == head.size());
    Exact copy(head);
    HttpRequest r = http_request(copy.bytes());
    CHECK(r.method == "GET");
    CHECK(r.target == "/a?b=c");
    CHECK(r.minor == 1);
    Bytes name, value, headers = r.headers;
    REQUIRE(http_next_header(&headers, &name, &value));
    CHECK(name == "Host");
    CHECK(value == "x");
    REQUIRE(http_next_header(&headers, &name, &value));
    CHECK(name == "Empty");
    CHECK(value == "");
    REQUIRE(http_next_header(&headers, &name, &value));
    CHECK(value == "two words");
    CHECK_FALSE(http_next_header(&headers, &name, &value));
}

TEST_CASE("bytes behind the head are not looked at, bare line feeds are tolerated (WS-13)") {
    uint32_t at = 0;
    CHECK(parse("GET / HTTP/1.1\nHost: x\n\nrest\x01", &at) == HttpResult::Done);
    CHECK(at == 24);
    CHECK(parse("HEAD * HTTP/1.0\r\n\r\n\x82", &at) == HttpResult::Done);
    CHECK(at == 19);
}

TEST_CASE("every proper prefix of a request asks for more (WS-33)") {
    std::string head = upgrade_request();
    for (size_t n = 0; n < head.size(); n++) {
        HttpParser p;
        CHECK(http_feed(&p, Exact(Bytes(head.data(), n)).bytes()) == HttpResult::More);
    }
}

TEST_CASE("what breaks HTTP's grammar is a bad request (WS-13)") {
    for (Bytes text :
         {Bytes(" GET / HTTP/1.1"), Bytes("\r\n"), Bytes("GET  /"), Bytes("GET /a b "),
          Bytes("GET / HTTP/1.1 \r\n"), Bytes("GET / http/1.1"), Bytes("GET / HTTP/11"),
          Bytes("GET / HTTP/1.10"), Bytes("GET / HTTP/1.1\rX"), Bytes("GET /\r\n"),
          Bytes("GET / HTTP/1.1\r\nHost : x\r\n"), Bytes("GET / HTTP/1.1\r\n: x\r\n"),
          Bytes("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n"), Bytes("GET / HTTP/1.1\r\nHost\r\n"),
          Bytes("GET / HTTP/1.1\r\nA: b\rc\r\n"), Bytes("GET / HTTP/1.1\r\nA: \0", 20),
          Bytes("GET / HTTP/1.1\r\nA: b\x7f"), Bytes("GET / HTTP/1.1\r\nA: b\x1b"),
          Bytes("GET /\xc3\xa4 "), Bytes("ABCDEFGHIJKLMNOPQRST")}) {
        INFO(std::string(text));
        CHECK(parse(text) == HttpResult::BadRequest);
    }
}

TEST_CASE("a TLS hello and MQTT are refused at their first byte (WS-34)") {
    uint32_t at = 0;
    CHECK(parse(Bytes("\x16\x03\x01", 3), &at) == HttpResult::BadRequest);
    CHECK(at == 1);
    CHECK(parse(Bytes("\x10\x0c\x00\x04MQTT", 8), &at) == HttpResult::BadRequest);
    CHECK(at == 1);
}

TEST_CASE("other versions than 1.x are refused as such (WS-15)") {
    CHECK(parse("GET / HTTP/2.0\r\n") == HttpResult::BadVersion);
    CHECK(parse("GET / HTTP/0.9\r\n") == HttpResult::BadVersion);
    CHECK(parse("GET / HTTP/1.9\r\n\r\n") == HttpResult::Done);
}

TEST_CASE("a head has limits, found while it is read (WS-29)") {
    std::string line = "GET /";
    CHECK(parse(line + std::string(HTTP_TARGET_MAX - 1, 'a') + " HTTP/1.1\r\n\r\n") ==
          HttpResult::Done);
    CHECK(parse(line + std::string(HTTP_TARGET_MAX, 'a')) == HttpResult::TargetTooLong);

    std::string head = "GET / HTTP/1.1\r\nA: ";
    std::string most = head + std::string(HTTP_HEAD_MAX - head.size() - 4, 'a') + "\r\n\r\n";
    CHECK(most.size() == HTTP_HEAD_MAX);
    CHECK(parse(most) == HttpResult::Done);
    CHECK(parse(head + std::string(HTTP_HEAD_MAX, 'a')) == HttpResult::TooLarge);

    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < HTTP_HEADERS_MAX; i++) many += "A: b\r\n";
    CHECK(parse(many + "\r\n") == HttpResult::Done);
    CHECK(parse(many + "A: b\r\n") == HttpResult::TooLarge);
}

TEST_CASE("tokens are found in comma lists") {
    CHECK(http_list_has("keep-alive, Upgrade", "upgrade"));
    CHECK(http_list_has("UPGRADE", "upgrade"));
    CHECK(http_list_has(",, upgrade\t,", "upgrade"));
    CHECK_FALSE(http_list_has("upgrade-insecure", "upgrade"));
    CHECK_FALSE(http_list_has("", "upgrade"));
    CHECK_FALSE(http_list_has("keep-alive upgrade", "upgrade"));
}
