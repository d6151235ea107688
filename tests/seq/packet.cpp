#include "seq/packet.h"

#include <stdio.h>

#include <algorithm>

namespace seq {
namespace {

constexpr uint16_t bit(int type) { return static_cast<uint16_t>(1u << type); }
constexpr uint16_t REASONS = bit(2) | bit(4) | bit(5) | bit(6) | bit(7) | bit(9) | bit(11) |
                             bit(14) | bit(15);
constexpr uint16_t PUB = bit(3), ACK = bit(2);

const PropInfo PROPS[] = {
    {0x01, "format", PropKind::One, false, PUB},
    {0x02, "expiry", PropKind::Four, false, PUB},
    {0x03, "content-type", PropKind::String, false, PUB},
    {0x08, "response-topic", PropKind::String, false, PUB},
    {0x09, "correlation", PropKind::Binary, false, PUB},
    {0x0B, "sub-id", PropKind::Varint, true, PUB},
    {0x11, "session-expiry", PropKind::Four, false, ACK},
    {0x12, "assigned-id", PropKind::String, false, ACK},
    {0x13, "server-keepalive", PropKind::Two, false, ACK},
    {0x15, "auth-method", PropKind::String, false, ACK | bit(15)},
    {0x16, "auth-data", PropKind::Binary, false, ACK | bit(15)},
    {0x17, "request-problem", PropKind::One, false, 0},
    {0x18, "delay", PropKind::Four, false, 0},
    {0x19, "request-response", PropKind::One, false, 0},
    {0x1A, "response-info", PropKind::String, false, ACK},
    {0x1C, "server-reference", PropKind::String, false, ACK | bit(14)},
    {0x1F, "reason-string", PropKind::String, false, REASONS},
    {0x21, "receive-max", PropKind::Two, false, ACK},
    {0x22, "alias-max", PropKind::Two, false, ACK},
    {0x23, "alias", PropKind::Two, false, PUB},
    {0x24, "max-qos", PropKind::One, false, ACK},
    {0x25, "retain-available", PropKind::One, false, ACK},
    {0x26, "prop", PropKind::Pair, true, REASONS | PUB},
    {0x27, "max-packet", PropKind::Four, false, ACK},
    {0x28, "wildcard-available", PropKind::One, false, ACK},
    {0x29, "sub-id-available", PropKind::One, false, ACK},
    {0x2A, "shared-available", PropKind::One, false, ACK},
};

const char *const NAMES[] = {"type 0",   "CONNECT",   "CONNACK", "PUBLISH",  "PUBACK", "PUBREC",
                             "PUBREL",   "PUBCOMP",   "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE",
                             "UNSUBACK", "PINGREQ",   "PINGRESP", "DISCONNECT", "AUTH"};

// Reason codes that a server may put into each type (section 4 of the checklist).
const std::string_view CODES[16] = {
    "", "",
    {"\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8A\x8C\x90\x95\x97\x99\x9A\x9B\x9C\x9D\x9F", 22},
    "",
    {"\x00\x10\x80\x83\x87\x90\x91\x97\x99", 9},
    {"\x00\x10\x80\x83\x87\x90\x91\x97\x99", 9},
    {"\x00\x92", 2},
    {"\x00\x92", 2},
    "",
    {"\x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2", 12},
    "",
    {"\x00\x11\x80\x83\x87\x8F\x91", 7},
    "", "",
    {"\x00\x80\x81\x82\x83\x87\x89\x8B\x8C\x8D\x8E\x8F\x90\x93\x94\x95\x96\x97\x98\x99\x9A\x9B"
     "\x9C\x9D\x9E\x9F\xA0\xA1\xA2", 29},
    {"\x00\x18", 2},
};

// A reader that stays failed.
struct In {
    std::string_view rest;
    bool ok = true;
    uint32_t number(size_t n) {
        std::string_view b = bytes(n);
        uint32_t v = 0;
        for (char c : b) v = v << 8 | static_cast<unsigned char>(c);
        return v;
    }
    std::string_view bytes(size_t n) {
        if (n > rest.size()) ok = false;
        if (!ok) return {};
        std::string_view b = rest.substr(0, n);
        rest.remove_prefix(n);
        return b;
    }
    std::string_view string() { return bytes(number(2)); }
    uint32_t varint() {
        uint32_t v = 0;
        for (int shift = 0; shift < 28 && ok; shift += 7) {
            uint32_t b = number(1);
            v |= (b & 127) << shift;
            if (b < 128) {
                if (!b && shift) ok = false; // longer than needed
                return v;
            }
        }
        ok = false;
        return 0;
    }
};

std::string quoted(std::string_view v) {
    std::string s = "\"";
    for (char ch : v.substr(0, 60)) {
        unsigned char c = static_cast<unsigned char>(ch);
        char esc[8];
        snprintf(esc, sizeof esc, "\\x%02x", c);
        if (c == '"' || c == '\\') s += '\\';
        if (c < 32 || c == 127) s += esc;
        else s += ch;
    }
    s += '"';
    if (v.size() > 60) s += "... (" + std::to_string(v.size()) + " bytes)";
    return s;
}

bool utf8_good(std::string_view v) {
    size_t i = 0;
    while (i < v.size()) {
        auto at = [&](size_t k) { return static_cast<unsigned char>(v[k]); };
        unsigned c = at(i);
        size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4 : 0;
        if (!n || !c || i + n > v.size()) return false;
        uint32_t u = n == 1 ? c : c & (0xFFu >> (n + 1));
        for (size_t k = 1; k < n; k++) {
            if ((at(i + k) & 0xC0) != 0x80) return false;
            u = u << 6 | (at(i + k) & 0x3F);
        }
        if ((n == 3 && u < 0x800) || (n == 4 && u < 0x10000) || u > 0x10FFFF ||
            (u >= 0xD800 && u < 0xE000)) return false;
        i += n;
    }
    return true;
}

std::string hex_number(uint32_t v) {
    char b[16];
    snprintf(b, sizeof b, "0x%02X", v);
    return b;
}

// Reads a value; its text for people goes to `text`, a fault to `fault`.
void read_value(In *in, const PropInfo &p, std::string *text, std::string *fault) {
    switch (p.kind) {
    case PropKind::One: *text += std::to_string(in->number(1)); break;
    case PropKind::Two: *text += std::to_string(in->number(2)); break;
    case PropKind::Four: *text += std::to_string(in->number(4)); break;
    case PropKind::Varint: *text += std::to_string(in->varint()); break;
    case PropKind::Binary: *text += quoted(in->string()); break;
    case PropKind::Pair:
    case PropKind::String:
        for (int i = p.kind == PropKind::Pair ? 2 : 1; i; i--) {
            std::string_view v = in->string();
            if (!utf8_good(v)) *fault = std::string("bad UTF-8 in ") + p.name;
            *text += quoted(v);
            if (i == 2) *text += ":";
        }
        break;
    }
}

void read_props(In *in, int type, std::string *text, std::string *fault) {
    In props{in->bytes(in->varint())};
    uint64_t seen = 0;
    while (in->ok && props.ok && !props.rest.empty()) {
        uint8_t id = static_cast<uint8_t>(props.number(1));
        const PropInfo *p = prop_by_id(id);
        if (!p) {
            *fault = "unknown property " + hex_number(id);
            *text += " " + hex_number(id) + "?";
            return;
        }
        *text += std::string(" ") + p->name + "=";
        read_value(&props, *p, text, fault);
        if (!(p->from_server >> type & 1))
            *fault = std::string("property ") + p->name + " does not belong here";
        if (!p->repeats && (seen >> id & 1)) *fault = std::string(p->name) + " twice";
        seen |= 1ull << id;
    }
    if (!props.ok) in->ok = false;
}

void read_code(In *in, int type, std::string *text, std::string *fault) {
    uint32_t code = in->number(1);
    *text += " " + hex_number(code);
    if (CODES[type].find(static_cast<char>(code)) == std::string_view::npos)
        *fault = "reason code " + hex_number(code) + " is not for this packet";
}

void read_connack(In *in, int version, std::string *text, std::string *fault) {
    uint32_t flags = in->number(1);
    *text += flags & 1 ? " session present" : "";
    if (flags > 1 || (version == 3 && flags)) *fault = "reserved acknowledge flags";
    if (version == 5) {
        read_code(in, 2, text, fault);
        read_props(in, 2, text, fault);
        return;
    }
    uint32_t code = in->number(1);
    *text += " code " + std::to_string(code);
    if (code > 5) *fault = "reserved return code";
    if (code && flags) *fault = "session present in a refusal";
}

void read_publish(In *in, int version, unsigned head, std::string *text, std::string *fault) {
    unsigned qos = head >> 1 & 3;
    *text += " q" + std::to_string(qos);
    if (head & 8) *text += " dup";
    if (head & 1) *text += " retain";
    if (qos == 3) *fault = "QoS 3";
    if (!qos && (head & 8)) *fault = "DUP with QoS 0";
    std::string_view topic = in->string();
    if (!utf8_good(topic) || topic.find_first_of("+#") != std::string_view::npos)
        *fault = "bad topic name";
    std::string id;
    if (qos) {
        uint32_t n = in->number(2);
        *text += " id " + std::to_string(n);
        if (!n) *fault = "packet id 0";
    }
    *text += " " + quoted(topic);
    if (version == 5) {
        std::string props;
        read_props(in, 3, &props, fault);
        if (!props.empty()) *text += " {" + props.substr(1) + "}";
        if (topic.empty() && props.find("alias=") == std::string::npos)
            *fault = "neither topic nor alias";
        if (props.find(" alias=0") != std::string::npos) *fault = "topic alias 0";
    } else if (topic.empty()) {
        *fault = "empty topic";
    }
    *text += " " + quoted(in->rest);
    in->rest = {};
}

void read_ack(In *in, int version, int type, std::string *text, std::string *fault) {
    uint32_t id = in->number(2);
    *text += " id " + std::to_string(id);
    if (!id) *fault = "packet id 0";
    bool has_codes = type == 9 || (type == 11 && version == 5);
    if (!has_codes) {
        if (version == 5 && type != 11 && !in->rest.empty()) read_code(in, type, text, fault);
        if (version == 5 && type != 11 && !in->rest.empty()) read_props(in, type, text, fault);
        return;
    }
    if (version == 5) read_props(in, type, text, fault);
    if (in->rest.empty()) *fault = "no reason code";
    while (in->ok && !in->rest.empty()) {
        unsigned char code = static_cast<unsigned char>(in->rest[0]);
        read_code(in, type, text, fault);
        if (version < 5 && code > 2 && code != 0x80) *fault = "return code unknown to 3.x";
        if (version == 3 && code == 0x80) *fault = "3.1 knows no failure code";
    }
}

unsigned flags_of(int type) { return type == 6 || type == 8 || type == 10 ? 2 : 0; }

// Reads the whole packet; both functions of the header are made of it.
void read_packet(int version, std::string_view packet, std::string *text, std::string *fault) {
    In in{packet};
    unsigned head = in.number(1);
    int type = static_cast<int>(head >> 4);
    *text = NAMES[type];
    uint32_t length = in.varint();
    if (!in.ok) *fault = "remaining length not in its shortest form";
    if (length != in.rest.size()) *fault = "not one whole packet";
    if (type != 3 && (head & 15) != flags_of(type)) *fault = "reserved flags";
    switch (type) {
    case 2: read_connack(&in, version, text, fault); break;
    case 3: read_publish(&in, version, head, text, fault); break;
    case 4: case 5: case 6: case 7: case 9: case 11:
        read_ack(&in, version, type, text, fault);
        break;
    case 13: break;
    case 14: case 15:
        if (version < 5) *fault = "a packet that 3.x servers never send";
        if (!in.rest.empty()) read_code(&in, type, text, fault);
        if (!in.rest.empty()) read_props(&in, type, text, fault);
        break;
    default:
        *fault = "a packet that servers never send";
        *text += " " + hex_text(packet);
        return;
    }
    if (!in.ok) *fault = "cut short";
    else if (!in.rest.empty()) *fault = "bytes behind the last field";
}

} // namespace

const PropInfo *prop_by_name(std::string_view name) {
    for (const PropInfo &p : PROPS)
        if (p.name == name) return &p;
    return nullptr;
}

const PropInfo *prop_by_id(uint8_t id) {
    for (const PropInfo &p : PROPS)
        if (p.id == id) return &p;
    return nullptr;
}

void put_u16(std::string *s, uint32_t v) {
    *s += static_cast<char>(v >> 8);
    *s += static_cast<char>(v);
}

void put_u32(std::string *s, uint32_t v) {
    put_u16(s, v >> 16);
    put_u16(s, v & 0xFFFF);
}

void put_varint(std::string *s, uint32_t v) {
    for (; v > 127; v >>= 7) *s += static_cast<char>((v & 127) | 128);
    *s += static_cast<char>(v);
}

void put_string(std::string *s, std::string_view v) {
    put_u16(s, static_cast<uint32_t>(v.size()));
    s->append(v);
}

long packet_size(std::string_view in) {
    size_t length = 0;
    for (size_t i = 1; i < 5; i++) {
        if (i >= in.size()) return 0;
        unsigned char c = static_cast<unsigned char>(in[i]);
        length |= static_cast<size_t>(c & 127) << (7 * (i - 1));
        if (c < 128) {
            size_t whole = i + 1 + length;
            return in.size() < whole ? 0 : static_cast<long>(whole);
        }
    }
    return -1;
}

std::string hex_text(std::string_view bytes, size_t most) {
    std::string s;
    for (char c : bytes.substr(0, most)) {
        char b[4];
        snprintf(b, sizeof b, "%02X ", static_cast<unsigned char>(c));
        s += b;
    }
    if (!s.empty()) s.pop_back();
    if (bytes.size() > most) s += " ... (" + std::to_string(bytes.size()) + " bytes)";
    return s;
}

std::string packet_text(int version, std::string_view packet) {
    std::string text, fault;
    read_packet(version, packet, &text, &fault);
    return text + "  [" + hex_text(packet, 48) + "]";
}

std::string packet_fault(int version, std::string_view packet) {
    std::string text, fault;
    read_packet(version, packet, &text, &fault);
    return fault;
}

} // namespace seq
