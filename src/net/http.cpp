#include "net/http.h"

constexpr size_t METHOD_MAX = 16;

enum Stage : uint8_t { METHOD, TARGET, VERSION, HEADERS };

// RFC 9110, 5.6.2
static bool is_token_char(char c) {
    char l = ascii_lower(c);
    if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9')) return true;
    return c && Bytes("!#$%&'*+-.^_`|~").find(c) != Bytes::npos;
}

static bool is_control(char c) {
    auto u = static_cast<uint8_t>(c);
    return (u < ' ' && c != '\t' && c != '\r' && c != '\n') || u == 0x7f;
}

// ---- one byte at a time ----------------------------------------------------

static void next_stage(HttpParser *p, Stage stage) {
    p->stage = stage;
    p->part = p->at + 1;
}

static HttpResult feed_method(HttpParser *p, char c) {
    uint32_t size = p->at - p->part;
    if (c == ' ' && size) {
        next_stage(p, TARGET);
        return HttpResult::More;
    }
    bool fine = is_token_char(c) && size < METHOD_MAX;
    return fine ? HttpResult::More : HttpResult::BadRequest;
}

static HttpResult feed_target(HttpParser *p, char c) {
    uint32_t size = p->at - p->part;
    if (c == ' ' && size) {
        next_stage(p, VERSION);
        return HttpResult::More;
    }
    auto u = static_cast<uint8_t>(c);
    if (u <= ' ' || u >= 0x7f) return HttpResult::BadRequest;
    return size < HTTP_TARGET_MAX ? HttpResult::More : HttpResult::TargetTooLong;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static HttpResult feed_version(HttpParser *p, Bytes head, char c) {
    constexpr Bytes NAME = "HTTP/";
    uint32_t i = p->at - p->part;
    bool fine = false;
    if (i < NAME.size()) fine = c == NAME[i];
    else if (i == 5 || i == 7) fine = is_digit(c);
    else if (i == 6) fine = c == '.';
    else if (i == 8) fine = c == '\r' || c == '\n';
    else fine = i == 9 && c == '\n' && head[p->at - 1] == '\r';
    if (!fine) return HttpResult::BadRequest;
    if (c != '\n') return HttpResult::More;
    char major = head[p->part + NAME.size()];
    next_stage(p, HEADERS);
    return major == '1' ? HttpResult::More : HttpResult::BadVersion;
}

// A name, a colon right behind it, anything. A folded line begins with a blank
// and so has no name.
static bool is_header_line(Bytes line) {
    size_t colon = line.find(':');
    if (colon == Bytes::npos || colon == 0) return false;
    for (size_t i = 0; i < colon; i++)
        if (!is_token_char(line[i])) return false;
    return true;
}

static HttpResult end_line(HttpParser *p, Bytes line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    next_stage(p, HEADERS);
    if (line.empty()) return HttpResult::Done;
    if (++p->headers > HTTP_HEADERS_MAX) return HttpResult::TooLarge;
    return is_header_line(line) ? HttpResult::More : HttpResult::BadRequest;
}

static HttpResult feed_headers(HttpParser *p, Bytes head, char c) {
    bool after_cr = p->at > p->part && head[p->at - 1] == '\r';
    if (c == '\n') return end_line(p, slice(head, p->part, p->at - p->part));
    if (after_cr || is_control(c)) return HttpResult::BadRequest;
    return HttpResult::More;
}

static HttpResult feed_byte(HttpParser *p, Bytes head) {
    char c = head[p->at];
    switch (p->stage) {
    case METHOD: return feed_method(p, c);
    case TARGET: return feed_target(p, c);
    case VERSION: return feed_version(p, head, c);
    default: return feed_headers(p, head, c);
    }
}

HttpResult http_feed(HttpParser *p, Bytes head) {
    while (p->at < head.size()) {
        if (p->at >= HTTP_HEAD_MAX) return HttpResult::TooLarge;
        HttpResult r = feed_byte(p, head);
        p->at++;
        if (r != HttpResult::More) return r;
    }
    return p->at >= HTTP_HEAD_MAX ? HttpResult::TooLarge : HttpResult::More;
}

// ---- a finished head -------------------------------------------------------

HttpRequest http_request(Bytes head) {
    HttpRequest r;
    Bytes line = cut(&head, '\n');
    r.method = cut(&line, ' ');
    r.target = cut(&line, ' ');
    line = trim(line);
    r.minor = line.empty() ? 0 : line.back() - '0';
    r.headers = head;
    return r;
}

bool http_next_header(Bytes *headers, Bytes *name, Bytes *value) {
    Bytes line = trim(cut(headers, '\n'));
    if (line.empty()) return false;
    *name = cut(&line, ':');
    *value = trim(line);
    return true;
}

bool http_list_has(Bytes list, Bytes token) {
    while (!list.empty())
        if (equal_nocase(trim(cut(&list, ',')), token)) return true;
    return false;
}
