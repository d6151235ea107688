// wire.cpp -- the codec of the load generator.
#include "wire.h"

#include <cstring>

static constexpr std::string_view WS_KEY = "dGhlIHNhbXBsZSBub25jZQ==";
static constexpr std::string_view WS_ANSWER = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void put_u8(std::string *out, unsigned value) { out->push_back(static_cast<char>(value)); }

void put_u16(std::string *out, unsigned value) {
    put_u8(out, value >> 8 & 0xff);
    put_u8(out, value & 0xff);
}

static void put_text(std::string *out, std::string_view text) {
    put_u16(out, static_cast<unsigned>(text.size()));
    out->append(text);
}

static void put_head(std::string *out, unsigned first, size_t length) {
    put_u8(out, first);
    do {
        unsigned byte = length & 0x7f;
        length >>= 7;
        put_u8(out, length ? byte | 0x80 : byte);
    } while (length);
}

void put_connect(std::string *out, const ConnectOptions &options) {
    bool is_v5 = options.version == Version::V5;
    bool wants_expiry = is_v5 && !options.is_clean;
    size_t props = !is_v5 ? 0 : wants_expiry ? 6 : 1;
    put_head(out, CONNECT << 4, 10 + props + 2 + options.client_id.size());
    put_text(out, "MQTT");
    put_u8(out, static_cast<unsigned>(options.version));
    put_u8(out, options.is_clean ? 0x02 : 0x00);
    put_u16(out, options.keepalive_s);
    if (is_v5) put_u8(out, wants_expiry ? 5 : 0);
    if (wants_expiry) { // session expiry interval: one hour
        put_u8(out, 0x11);
        put_u16(out, 0);
        put_u16(out, 3600);
    }
    put_text(out, options.client_id);
}

void put_filter(std::string *out, std::string_view filter, uint8_t qos) {
    put_text(out, filter);
    put_u8(out, qos);
}

void put_subscribe(std::string *out, Version version, uint16_t id, std::string_view filters) {
    bool is_v5 = version == Version::V5;
    put_head(out, SUBSCRIBE << 4 | 2, 2 + is_v5 + filters.size());
    put_u16(out, id);
    if (is_v5) put_u8(out, 0);
    out->append(filters);
}

void put_unsubscribe(std::string *out, Version version, uint16_t id, std::string_view filter) {
    bool is_v5 = version == Version::V5;
    put_head(out, UNSUBSCRIBE << 4 | 2, 2 + is_v5 + 2 + filter.size());
    put_u16(out, id);
    if (is_v5) put_u8(out, 0);
    put_text(out, filter);
}

void put_publish(std::string *out, const PublishOptions &options, std::string_view topic,
                 std::string_view payload) {
    bool is_v5 = options.version == Version::V5;
    size_t id_size = options.qos ? 2 : 0;
    put_head(out, static_cast<unsigned>(PUBLISH << 4 | options.qos << 1 | options.is_retained),
             2 + topic.size() + id_size + is_v5 + payload.size());
    put_text(out, topic);
    if (options.qos) put_u16(out, options.id);
    if (is_v5) put_u8(out, 0);
    out->append(payload);
}

void put_ack(std::string *out, PacketType type, uint16_t id) {
    char bytes[4] = {static_cast<char>(type << 4 | (type == PUBREL ? 2 : 0)), 2,
                     static_cast<char>(id >> 8), static_cast<char>(id & 0xff)};
    out->append(bytes, sizeof bytes);
}

void put_empty(std::string *out, PacketType type) {
    put_u8(out, static_cast<unsigned>(type << 4));
    put_u8(out, 0);
}

static unsigned u8(std::string_view in, size_t at) { return static_cast<uint8_t>(in[at]); }

static uint16_t u16(std::string_view in, size_t at) {
    return static_cast<uint16_t>(u8(in, at) << 8 | u8(in, at + 1));
}

// A variable byte integer at `at`; gives its size, 0 if it is not all there
// and 5 if it is longer than allowed.
static size_t varint(std::string_view in, size_t at, size_t *value) {
    size_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        if (at + i >= in.size()) return 0;
        v |= static_cast<size_t>(u8(in, at + i) & 0x7f) << (7 * i);
        if (!(u8(in, at + i) & 0x80)) { *value = v; return i + 1; }
    }
    return 5;
}

PacketHead packet_head(std::string_view in) {
    PacketHead head;
    size_t length = 0;
    size_t size = varint(in, 1, &length);
    if (size == 0) return head;
    if (size > 4) { head.is_bad = true; return head; }
    head.head = 1 + size;
    head.total = head.head + length;
    return head;
}

bool publish_view(uint8_t first, std::string_view body, Version version, PublishView *out) {
    out->qos = first >> 1 & 3;
    out->is_dup = first & 8;
    out->is_retained = first & 1;
    if (out->qos == 3 || body.size() < 2) return false;
    size_t at = 2 + u16(body, 0);
    if (body.size() < at + (out->qos ? 2 : 0)) return false;
    out->topic = body.substr(2, at - 2);
    out->id = 0;
    if (out->qos) {
        out->id = u16(body, at);
        at += 2;
    }
    if (version == Version::V5) {
        size_t props = 0;
        size_t size = varint(body, at, &props);
        if (size == 0 || size > 4 || at + size + props > body.size()) return false;
        at += size + props;
    }
    out->payload = body.substr(at);
    return true;
}

// Size of an MQTT 5 property's value in a CONNACK; 0 for text and pairs.
static size_t fixed_size(unsigned id) {
    switch (id) {
    case 0x11: case 0x27: return 4;
    case 0x13: case 0x21: case 0x22: return 2;
    case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: return 1;
    default: return 0;
    }
}

uint16_t connack_receive_max(std::string_view body, Version version) {
    size_t length = 0;
    if (version != Version::V5) return 65535;
    size_t size = varint(body, 2, &length);
    if (size == 0 || size > 4) return 65535;
    std::string_view in = body.substr(2 + size);
    while (in.size() > 2) {
        unsigned id = u8(in, 0);
        in.remove_prefix(1);
        if (id == 0x21) return u16(in, 0);
        size_t skip = fixed_size(id);
        if (skip == 0) skip = 2 + size_t{u16(in, 0)};
        if (id == 0x26 && skip + 2 <= in.size()) skip += 2 + size_t{u16(in, skip)};
        if (skip > in.size()) break;
        in.remove_prefix(skip);
    }
    return 65535;
}

void ws_put_upgrade(std::string *out) {
    out->append("GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: ");
    out->append(WS_KEY).append("\r\n\r\n");
}

bool ws_is_upgraded(std::string_view response) {
    return response.starts_with("HTTP/1.1 101") && response.find(WS_ANSWER) != response.npos;
}

void ws_wrap(std::string *out, size_t from, uint32_t mask, uint8_t opcode) {
    size_t size = out->size() - from;
    uint8_t head[14];
    size_t n = 0;
    head[n++] = static_cast<uint8_t>(0x80 | opcode);
    size_t extra = size < 126 ? 0 : size < 65536 ? 2 : 8;
    head[n++] = static_cast<uint8_t>(0x80 | (extra == 0 ? size : extra == 2 ? 126 : 127));
    for (size_t i = extra; i > 0; i--) head[n++] = static_cast<uint8_t>(size >> (8 * (i - 1)));
    memcpy(head + n, &mask, 4);
    n += 4;
    out->insert(from, reinterpret_cast<char *>(head), n);

    char *p = out->data() + from + n;
    uint64_t wide = static_cast<uint64_t>(mask) << 32 | mask;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        word ^= wide;
        memcpy(p + i, &word, 8);
    }
    for (; i < size; i++) p[i] = static_cast<char>(p[i] ^ reinterpret_cast<char *>(&mask)[i & 3]);
}

// Size of the frame head that begins with these bytes, as far as they tell.
static size_t ws_head_size(const WsReader *r) {
    if (r->head_size < 2) return 2;
    unsigned length = r->head[1] & 0x7f;
    return length < 126 ? 2 : length == 126 ? 4 : 10;
}

static void ws_head_done(WsReader *r) {
    size_t size = r->head_size;
    r->opcode = r->head[0] & 0x0f;
    r->left = size == 2 ? r->head[1] & 0x7f : 0;
    for (size_t i = 2; i < size; i++) r->left = r->left << 8 | r->head[i];
    r->head_size = 0;
    if (r->head[1] & 0x80 || r->head[0] & 0x70) r->is_bad = true; // servers do not mask
    if (r->opcode == 8) r->is_closing = true;
    if (r->opcode == 9) r->wants_pong = true;
}

size_t ws_unwrap(WsReader *r, char *bytes, size_t size) {
    size_t kept = 0;
    for (size_t i = 0; i < size && !r->is_bad;) {
        if (r->left == 0) {
            r->head[r->head_size++] = static_cast<uint8_t>(bytes[i++]);
            if (r->head_size == ws_head_size(r)) ws_head_done(r);
            continue;
        }
        size_t n = size - i < r->left ? size - i : static_cast<size_t>(r->left);
        if (r->opcode < 8) {
            memmove(bytes + kept, bytes + i, n);
            kept += n;
        }
        r->left -= n;
        i += n;
    }
    return kept;
}
