#include "net/websocket.h"

constexpr uint8_t MESSAGE_OPEN = 1; // WsParser::flags

// Values of WsParser::stage; the bytes of the length and of the mask are
// counted down from their first.
enum Stage : uint8_t {
    FIRST = 0,    // FIN and opcode
    SECOND = 1,   // MASK and length
    LENGTH8 = 2,  // .. 9: eight bytes of length
    LENGTH2 = 8,  // .. 9: the last two of them
    MASK = 10,    // .. 13
    PAYLOAD = 14,
};

// In WsParser::opcode while the length is read: it has eight bytes.
constexpr uint8_t LONG_FORM = 0x20;

constexpr uint16_t PROTOCOL_ERROR = 1002;
constexpr uint16_t NOT_BINARY = 1003;
constexpr uint16_t NOT_UTF8 = 1007;
constexpr uint16_t POLICY = 1008;

static bool is_control(uint8_t opcode) { return opcode & 8; }

// ---- the header, byte by byte; each returns a close code or 0 ---------------

// The rules of fragmentation: WS-52, WS-53.
static uint16_t check_data_opcode(const WsParser *p) {
    bool is_open = p->flags & MESSAGE_OPEN;
    bool continues = p->opcode == static_cast<uint8_t>(WsFrameType::Continuation);
    if (continues != is_open) return PROTOCOL_ERROR;
    return p->opcode == static_cast<uint8_t>(WsFrameType::Text) ? NOT_BINARY : 0; // WS-2
}

static uint16_t take_first(WsParser *p, uint8_t b) {
    bool is_final = b & 0x80;
    p->opcode = b & 0x0f;
    p->left = 0;
    p->stage = SECOND;
    if (b & 0x70) return PROTOCOL_ERROR; // WS-43
    if (is_control(p->opcode)) {
        bool known = p->opcode <= static_cast<uint8_t>(WsFrameType::Pong); // WS-44
        return known && is_final ? 0 : PROTOCOL_ERROR;                  // WS-58
    }
    if (p->opcode > static_cast<uint8_t>(WsFrameType::Binary)) return PROTOCOL_ERROR;
    if (uint16_t code = check_data_opcode(p)) return code;
    p->flags = is_final ? 0 : MESSAGE_OPEN;
    return 0;
}

static uint16_t take_second(WsParser *p, uint8_t b) {
    uint8_t length = b & 0x7f;
    if (!(b & 0x80)) return PROTOCOL_ERROR; // WS-41
    if (is_control(p->opcode) && length > WS_CONTROL_MAX) return PROTOCOL_ERROR; // WS-57
    if (length == 127) p->stage = LENGTH8;
    else if (length == 126) p->stage = LENGTH2;
    else p->stage = MASK;
    if (length < 126) p->left = length;
    else if (length == 127) p->opcode |= LONG_FORM;
    return 0;
}

static uint16_t take_length(WsParser *p, uint8_t b) {
    if (p->stage == LENGTH8 && (b & 0x80)) return PROTOCOL_ERROR; // WS-46
    p->left = p->left << 8 | b;
    if (++p->stage != MASK) return 0;
    uint64_t least = p->opcode & LONG_FORM ? 65536 : 126;
    p->opcode &= 0x0f;
    return p->left >= least ? 0 : PROTOCOL_ERROR; // WS-45
}

// After the whole header: a flood of empty frames is no use to anybody.
static uint16_t begin_payload(WsParser *p) {
    p->stage = PAYLOAD;
    if (is_control(p->opcode)) return 0;
    if (p->left) p->empties = 0;
    else if (++p->empties > WS_EMPTY_MAX) return POLICY; // WS-50
    return 0;
}

static uint16_t take_header_byte(WsParser *p, uint8_t b) {
    if (p->stage == FIRST) return take_first(p, b);
    if (p->stage == SECOND) return take_second(p, b);
    if (p->stage < MASK) return take_length(p, b);
    p->mask[p->stage - MASK] = b;
    return ++p->stage == PAYLOAD ? begin_payload(p) : 0;
}

// ---- the payload -----------------------------------------------------------

// Unmasks eight bytes at a time and turns the key for what is still to come.
static void unmask(uint8_t mask[4], char *data, size_t size) {
    uint8_t twice[8];
    memcpy(twice, mask, 4);
    memcpy(twice + 4, mask, 4);
    uint64_t key, word;
    memcpy(&key, twice, 8);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= key;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++) data[i] = static_cast<char>(data[i] ^ twice[i % 8]);
    memcpy(mask, twice + size % 4, 4);
}

static WsEvent take_payload(WsParser *p, char **at, char *end) {
    WsEvent e;
    auto have = static_cast<size_t>(end - *at);
    size_t n = p->left < have ? static_cast<size_t>(p->left) : have;
    unmask(p->mask, *at, n);
    e.step = is_control(p->opcode) ? WsStep::Control : WsStep::Data;
    e.opcode = static_cast<WsFrameType>(p->opcode);
    e.piece = Bytes(*at, n);
    *at += n;
    p->left -= n;
    return e;
}

// At the end of a frame: a control frame is told, a data frame means nothing.
static bool end_frame(WsParser *p, WsEvent *e) {
    p->stage = FIRST;
    if (!is_control(p->opcode)) return false;
    e->step = WsStep::ControlEnd;
    e->opcode = static_cast<WsFrameType>(p->opcode);
    return true;
}

WsEvent ws_next(WsParser *p, char **at, char *end) {
    WsEvent e;
    for (;;) {
        if (p->stage == PAYLOAD && !p->left) {
            if (end_frame(p, &e)) return e;
            continue;
        }
        if (*at == end) return e;
        if (p->stage == PAYLOAD) return take_payload(p, at, end);
        e.code = take_header_byte(p, static_cast<uint8_t>(*(*at)++));
        if (!e.code) continue;
        e.step = WsStep::Failed;
        return e;
    }
}

// ---- closing ---------------------------------------------------------------

// WS-66
static bool may_be_sent(uint16_t code) {
    if (code >= 3000) return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

// The length of the well-formed UTF-8 sequence at the front; 0 if there is
// none (Unicode, table 3-7).
static size_t utf8_sequence(Bytes v) {
    auto b = [&](size_t i) { return i < v.size() ? static_cast<uint8_t>(v[i]) : 0; };
    auto tail = [&](size_t i) { return (b(i) & 0xc0) == 0x80; };
    int first = b(0), second = b(1);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
    if ((first & 0xf0) == 0xe0) {
        bool fits = (first != 0xe0 || second >= 0xa0) && (first != 0xed || second < 0xa0);
        return fits && tail(1) && tail(2) ? 3 : 0;
    }
    if (first < 0xf0 || first > 0xf4) return 0;
    bool fits = (first != 0xf0 || second >= 0x90) && (first != 0xf4 || second < 0x90);
    return fits && tail(1) && tail(2) && tail(3) ? 4 : 0;
}

static bool is_utf8(Bytes v) {
    while (!v.empty()) {
        size_t n = utf8_sequence(v);
        if (!n) return false;
        v.remove_prefix(n);
    }
    return true;
}

WsCloseAnswer ws_judge_close(Bytes payload) {
    if (payload.empty()) return {1000, true}; // WS-67
    if (payload.size() == 1) return {PROTOCOL_ERROR, false};
    auto code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 |
                                      static_cast<uint8_t>(payload[1]));
    if (!may_be_sent(code)) return {PROTOCOL_ERROR, false};
    if (!is_utf8(slice(payload, 2))) return {NOT_UTF8, false};
    return {code, true};
}

uint32_t ws_frame_head(char out[WS_FRAME_HEAD_MAX], WsFrameType opcode, uint32_t size) {
    out[0] = static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
    uint32_t bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    out[1] = static_cast<char>(bytes == 0 ? size : bytes == 2 ? 126 : 127);
    for (uint32_t i = 0; i < bytes; i++)
        out[2 + i] = static_cast<char>(static_cast<uint64_t>(size) >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}
