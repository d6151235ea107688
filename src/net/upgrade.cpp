#include "net/upgrade.h"

#include <openssl/evp.h>
#include <stdio.h>

// ---- reading ---------------------------------------------------------------

static void count_value(uint8_t *count, Bytes *value, Bytes v) {
    if (*count < UINT8_MAX) ++*count;
    *value = v;
}

static void read_host(Upgrade *u, Bytes v) { count_value(&u->hosts, &u->host, v); }
static void read_origin(Upgrade *u, Bytes v) { count_value(&u->origins, &u->origin, v); }
static void read_key(Upgrade *u, Bytes v) { count_value(&u->keys, &u->key, v); }
static void read_version(Upgrade *u, Bytes v) { count_value(&u->versions, &u->version, v); }

static void read_upgrade(Upgrade *u, Bytes v) {
    if (http_list_has(v, "websocket")) u->wants_websocket = true;
}

static void read_connection(Upgrade *u, Bytes v) {
    if (http_list_has(v, "upgrade")) u->connection_upgrade = true;
}

// Names of subprotocols are compared exactly (WS-8).
static void read_protocol(Upgrade *u, Bytes v) {
    u->offers_protocol = true;
    while (!v.empty()) {
        Bytes name = trim(cut(&v, ','));
        if (name == "mqtt") u->offers_mqtt = true;
        if (name == "mqttv3.1") u->offers_mqttv31 = true;
    }
}

static void read_content_length(Upgrade *u, Bytes v) {
    int64_t n = 0;
    if (!parse_int(v, &n) || n != 0) u->has_body = true;
}

static void read_transfer_encoding(Upgrade *u, Bytes) { u->has_body = true; }
static void read_forwarding(Upgrade *u, Bytes) { u->has_forwarding = true; }

struct HeaderRule {
    Bytes name;
    void (*read)(Upgrade *, Bytes value);
};

static constexpr HeaderRule HEADER_RULES[] = {
    {"Host", read_host},
    {"Upgrade", read_upgrade},
    {"Connection", read_connection},
    {"Sec-WebSocket-Key", read_key},
    {"Sec-WebSocket-Version", read_version},
    {"Sec-WebSocket-Protocol", read_protocol},
    {"Origin", read_origin},
    {"Content-Length", read_content_length},
    {"Transfer-Encoding", read_transfer_encoding},
    {"Forwarded", read_forwarding},
    {"X-Forwarded-For", read_forwarding},
    {"X-Forwarded-Host", read_forwarding},
    {"X-Forwarded-Proto", read_forwarding},
    {"X-Real-IP", read_forwarding},
    {"Via", read_forwarding},
};

void upgrade_read(Bytes head, Upgrade *out) {
    *out = Upgrade();
    out->request = http_request(head);
    Bytes headers = out->request.headers, name, value;
    while (http_next_header(&headers, &name, &value))
        for (const HeaderRule &rule : HEADER_RULES)
            if (equal_nocase(rule.name, name)) rule.read(out, value);
}

// ---- judging ---------------------------------------------------------------

// Base64 of 16 bytes: 22 characters and "==" (WS-20).
static bool is_key(Bytes key) {
    if (key.size() != 24) return false;
    for (size_t i = 0; i < 22; i++) {
        char c = ascii_lower(key[i]);
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!fine) return false;
    }
    return key[22] == '=' && key[23] == '=';
}

static bool is_allowed_origin(const Upgrade &u, const Vec<Bytes> &allowed) {
    if (!allowed.size || !u.origins) return true;
    for (const Bytes &origin : allowed)
        if (equal_nocase(origin, u.origin)) return true;
    return false;
}

// What every request must fulfil, the page's too.
static UpgradeVerdict judge_http(const Upgrade &u) {
    const HttpRequest &r = u.request;
    if (u.hosts > 1 || (u.hosts == 0 && r.minor > 0)) return {400, "not exactly one Host"};
    if (u.has_body) return {400, "the request has a body"};
    if (r.method == "GET" || (r.method == "HEAD" && !u.wants_websocket)) return {200, nullptr};
    return {405, "the method is not GET"};
}

UpgradeVerdict upgrade_judge(const Upgrade &u, const Vec<Bytes> &allowed_origins) {
    UpgradeVerdict http = judge_http(u);
    if (http.status != 200) return http;
    if (!u.wants_websocket) {
        if (u.keys) return {426, "the request has no Upgrade: websocket (a proxy?)"};
        return {200, "plain HTTP"};
    }
    if (u.request.minor == 0) return {400, "an upgrade with HTTP/1.0"};
    if (!u.connection_upgrade) return {400, "Connection does not say Upgrade (a proxy?)"};
    if (u.versions != 1 || u.version != "13") return {426, "not WebSocket version 13"};
    if (u.keys != 1 || !is_key(u.key)) return {400, "bad Sec-WebSocket-Key"};
    if (u.origins > 1) return {400, "more than one Origin"};
    if (!is_allowed_origin(u, allowed_origins)) return {0, "Origin not in websockets_origin"};
    if (!u.offers_mqtt && !u.offers_mqttv31)
        return {400, u.offers_protocol ? "no subprotocol that is known" : "no subprotocol"};
    return {101, nullptr};
}

UpgradeVerdict upgrade_judge_broken(HttpResult r) {
    switch (r) {
    case HttpResult::More:
    case HttpResult::Done: break;
    case HttpResult::BadRequest: return {400, "not an HTTP request"};
    case HttpResult::TargetTooLong: return {414, "the request's target is too long"};
    case HttpResult::TooLarge: return {431, "the request's head is too large"};
    case HttpResult::BadVersion: return {505, "not HTTP/1.1"};
    }
    return {500, "?"};
}

// ---- answering -------------------------------------------------------------

static constexpr char PAGE[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>knut</title>\n"
    "<h1>knut</h1>\n"
    "<p>This port speaks MQTT over WebSocket. There is nothing to look at here;\n"
    "an MQTT client connects to it.</p>\n"
    "<p>In a browser, for example with MQTT.js:</p>\n"
    "<pre>mqtt.connect(location.href.replace(/^http/, \"ws\"))</pre>\n"
    "<p>Any path will do; the subprotocol is <code>mqtt</code>.</p>\n</html>\n";

struct StatusRule {
    uint16_t status;
    const char *reason;
    const char *connection; // value of Connection
    const char *headers;    // further header lines
    const char *type;       // text/...
    const char *body;
};

static constexpr StatusRule STATUS_RULES[] = {
    {200, "OK", "close", "Content-Security-Policy: default-src 'none'\r\n", "html", PAGE},
    {400, "Bad Request", "close", "", "plain", "This is not a request for MQTT over WebSocket.\n"},
    {405, "Method Not Allowed", "close", "Allow: GET, HEAD\r\n", "plain", "Only GET is served here.\n"},
    {414, "URI Too Long", "close", "", "plain", "The target is too long.\n"},
    {426, "Upgrade Required", "Upgrade, close",
     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "plain",
     "A WebSocket of version 13 is needed here.\n"},
    {431, "Request Header Fields Too Large", "close", "", "plain", "The request is too large.\n"},
    {500, "Internal Server Error", "close", "", "plain", "This did not work.\n"},
    {503, "Service Unavailable", "close", "Retry-After: 5\r\n", "plain",
     "Too many connections.\n"},
    {505, "HTTP Version Not Supported", "close", "", "plain", "HTTP/1.1 is spoken here.\n"},
};

static size_t written(int n) {
    bool fits = n > 0 && static_cast<size_t>(n) < UPGRADE_ANSWER_MAX;
    return fits ? static_cast<size_t>(n) : 0;
}

// base64(SHA-1(key and a fixed text)): WS-36.
static bool make_accept(Bytes key, char out[29]) {
    static constexpr char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[24 + sizeof(GUID) - 1];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (key.size() != 24) return false;
    memcpy(text, key.data(), 24);
    memcpy(text + 24, GUID, sizeof(GUID) - 1);
    if (!EVP_Digest(text, sizeof(text), digest, &size, EVP_sha1(), nullptr)) return false;
    return EVP_EncodeBlock(reinterpret_cast<unsigned char *>(out), digest, 20) == 28;
}

// Word for word and in the order of Mosquitto's.
static size_t answer_upgrade(const Upgrade &u, char *out) {
    char accept[29];
    if (!make_accept(u.key, accept)) return 0;
    return written(snprintf(out, UPGRADE_ANSWER_MAX,
                            "HTTP/1.1 101 Switching Protocols\r\n"
                            "Upgrade: WebSocket\r\n"
                            "Connection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n"
                            "Sec-WebSocket-Protocol: %s\r\n\r\n",
                            accept, u.offers_mqtt ? "mqtt" : "mqttv3.1"));
}

size_t upgrade_answer(const Upgrade *u, uint16_t status, char out[UPGRADE_ANSWER_MAX]) {
    if (status == 101) return answer_upgrade(*u, out);
    for (const StatusRule &r : STATUS_RULES) {
        if (r.status != status) continue;
        bool is_head = u && u->request.method == "HEAD";
        return written(snprintf(out, UPGRADE_ANSWER_MAX,
                                "HTTP/1.1 %d %s\r\n"
                                "Content-Type: text/%s; charset=utf-8\r\n"
                                "Content-Length: %zu\r\n"
                                "Connection: %s\r\n"
                                "X-Content-Type-Options: nosniff\r\n"
                                "%s\r\n%s",
                                status, r.reason, r.type, strlen(r.body), r.connection,
                                r.headers, is_head ? "" : r.body));
    }
    return 0;
}
