// net/http.h -- the head of an HTTP/1.1 request, taken byte by byte.
//
// Pure: no I/O, no allocation. The caller keeps what has come in so far in one
// buffer (which may move) and shows it again when there is more; each byte is
// looked at once. What cannot become a request is refused at the first byte
// that shows it, so a TLS hello or MQTT is noticed at once (WS-34).
//
//     GET /mqtt HTTP/1.1 CRLF       request line
//     Host: broker.local CRLF       header lines
//     CRLF                          the head ends here
#pragma once

#include "base/bytes.h"

constexpr uint32_t HTTP_HEAD_MAX = 8192;
constexpr uint32_t HTTP_TARGET_MAX = 4096;
constexpr uint16_t HTTP_HEADERS_MAX = 100;

enum class HttpResult : uint8_t {
    More,          // fine so far
    Done,          // HttpParser::at is the length of the head
    BadRequest,    // 400
    TargetTooLong, // 414
    TooLarge,      // 431: head too long, or too many headers
    BadVersion,    // 505: not HTTP/1.x
};

// Where the parser is. Zeroes: at the beginning.
struct HttpParser {
    uint32_t at = 0;     // bytes looked at
    uint32_t part = 0;   // where the current word or line begins
    uint16_t headers = 0;
    uint8_t stage = 0;   // method, target, version, header lines
};

// `head` begins with all the bytes that were shown before.
HttpResult http_feed(HttpParser *, Bytes head);

struct HttpRequest {
    Bytes method;
    Bytes target;
    int minor = 1;  // HTTP/1.minor
    Bytes headers;  // the header lines, for http_next_header
};
// Splits a head for which http_feed said Done.
HttpRequest http_request(Bytes head);
// Takes the next header off; false when there is none left. The value has no
// blanks around it.
bool http_next_header(Bytes *headers, Bytes *name, Bytes *value);

// Is `token` in this comma-separated list, in whatever case?
bool http_list_has(Bytes list, Bytes token);
