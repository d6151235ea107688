#include "seq/pattern.h"

#include <ctype.h>
#include <stdlib.h>

#include "seq/packet.h"
#include "sim/wsclient.h"

namespace seq {

using namespace websocket;
namespace {

[[noreturn]] void wrong(const std::string &what) { throw NotationError(what); }

uint64_t number(std::string_view s, int base = 10) {
    std::string copy(s);
    char *end = nullptr;
    if (copy.empty() || !isxdigit(static_cast<unsigned char>(copy[0]))) wrong("not a number: " + copy);
    uint64_t v = strtoull(copy.c_str(), &end, base);
    if (*end) wrong("not a number: " + copy);
    return v;
}

// ---- building patterns -----------------------------------------------------

void add(Pattern *p, std::string_view bytes) {
    if (p->empty() || p->back().kind != Element::Literal) p->emplace_back();
    p->back().bytes.append(bytes);
}

void add(Pattern *p, const Pattern &other) {
    for (const Element &e : other)
        if (e.kind == Element::Literal) add(p, e.bytes);
        else p->push_back(e);
}

void add_u8(Pattern *p, unsigned v) { add(p, std::string(1, static_cast<char>(v))); }
void add_u16(Pattern *p, uint32_t v) {
    std::string s;
    put_u16(&s, v);
    add(p, s);
}
void add_string(Pattern *p, std::string_view v) {
    std::string s;
    put_string(&s, v);
    add(p, s);
}

size_t element_size(const Element &e) {
    return e.kind == Element::Literal ? e.bytes.size() : e.size;
}

bool open_ended(const Pattern &p) {
    for (const Element &e : p)
        if (e.kind == Element::Rest || e.kind == Element::Length) return true;
    return false;
}

// The body with its length before it, as a varint.
void add_counted(Pattern *p, const Pattern &body) {
    if (open_ended(body)) {
        p->emplace_back().kind = Element::Length;
    } else {
        std::string s;
        put_varint(&s, static_cast<uint32_t>(pattern_size(body)));
        add(p, s);
    }
    add(p, body);
}

// ---- byte expressions ------------------------------------------------------

Pattern parse_bytes(const std::vector<std::string> &words, size_t from, NotationState *);
Pattern parse_bytes(std::string_view text, NotationState *st) {
    return parse_bytes(split_words(text), 0, st);
}

std::string_view braced(std::string_view word) {
    if (word.size() < 2 || word.front() != '{' || word.back() != '}') wrong("{...} expected");
    return word.substr(1, word.size() - 2);
}

// A number of `size` bytes, or a range of them: 8..10.
void add_number(Pattern *p, std::string_view text, size_t size) {
    size_t dots = text.find("..");
    if (dots != std::string_view::npos) {
        Element &e = p->emplace_back();
        e.kind = Element::Range;
        e.size = size;
        e.low = number(text.substr(0, dots));
        e.high = number(text.substr(dots + 2));
        return;
    }
    uint64_t v = number(text);
    std::string s;
    while (size--) s += static_cast<char>(v >> (8 * size));
    add(p, s);
}

// <name:size> remembers, <name> repeats.
void add_kept(Pattern *p, std::string_view word, NotationState *st) {
    std::string_view inner = word.substr(1, word.size() - 2);
    size_t colon = inner.find(':');
    Element e;
    e.name = inner.substr(0, colon);
    if (colon != std::string_view::npos) {
        e.kind = Element::Keep;
        e.size = number(inner.substr(colon + 1));
        st->sizes[e.name] = e.size;
    } else {
        e.kind = Element::Kept;
        if (!st->sizes.count(e.name)) wrong("nothing remembered as " + e.name);
        e.size = st->sizes[e.name];
    }
    p->push_back(e);
}

bool is_kept(std::string_view w) { return w.size() > 2 && w.front() == '<' && w.back() == '>'; }

// A string field: its length and then text, or what was remembered.
void add_text(Pattern *p, std::string_view word, NotationState *st) {
    if (is_kept(word)) {
        Pattern inner;
        add_kept(&inner, word, st);
        add_u16(p, static_cast<uint32_t>(pattern_size(inner)));
        add(p, inner);
    } else if (word.starts_with("{")) {
        Pattern inner = parse_bytes(braced(word), st);
        add_u16(p, static_cast<uint32_t>(pattern_size(inner)));
        add(p, inner);
    } else {
        add_string(p, unquote(word));
    }
}

// Where `key:value` or `key=value` is cut: outside of quotes and braces.
size_t find_outside(std::string_view s, char wanted) {
    bool quoted = false;
    int depth = 0;
    for (size_t i = 0; i < s.size(); i++) {
        if (s[i] == '\\' && quoted) i++;
        else if (s[i] == '"') quoted = !quoted;
        else if (quoted) continue;
        else if (s[i] == '{') depth++;
        else if (s[i] == '}') depth--;
        else if (s[i] == wanted && !depth) return i;
    }
    return std::string_view::npos;
}

void add_prop(Pattern *p, const PropInfo &info, std::string_view value, NotationState *st) {
    add_u8(p, info.id);
    switch (info.kind) {
    case PropKind::One: add_number(p, value, 1); break;
    case PropKind::Two: add_number(p, value, 2); break;
    case PropKind::Four: add_number(p, value, 4); break;
    case PropKind::Varint: {
        std::string s;
        put_varint(&s, static_cast<uint32_t>(number(value)));
        add(p, s);
        break;
    }
    case PropKind::String:
    case PropKind::Binary: add_text(p, value, st); break;
    case PropKind::Pair: {
        size_t colon = find_outside(value, ':');
        if (colon == std::string_view::npos) wrong("prop=name:value expected");
        add_text(p, value.substr(0, colon), st);
        add_text(p, value.substr(colon + 1), st);
        break;
    }
    }
}

// True if the word was `name=value` with the name of a property.
bool try_prop(Pattern *p, std::string_view word, NotationState *st) {
    size_t eq = find_outside(word, '=');
    if (eq == std::string_view::npos) return false;
    const PropInfo *info = prop_by_name(word.substr(0, eq));
    if (info) add_prop(p, *info, word.substr(eq + 1), st);
    return info != nullptr;
}

void add_ws(Pattern *p, const std::vector<std::string> &words, size_t *at, NotationState *st) {
    WsFrame f;
    f.opcode = static_cast<uint8_t>(number(words.at((*at)++), 16));
    for (; *at < words.size(); ++*at) {
        std::string_view w = words[*at];
        if (w == "fin=0") f.fin = false;
        else if (w.starts_with("rsv=")) f.rsv = static_cast<uint8_t>(number(w.substr(4)));
        else if (w == "nomask") f.masked = false;
        else if (w.starts_with("form=")) f.length_form = static_cast<int>(number(w.substr(5)));
        else break;
    }
    if (*at < words.size() && words[*at].starts_with("{"))
        f.payload = pattern_bytes(parse_message(braced(words[(*at)++]), st), {});
    add(p, ws_frame(f));
}

bool is_hex(std::string_view w) {
    for (char c : w)
        if (!isxdigit(static_cast<unsigned char>(c))) return false;
    return !w.empty() && w.size() % 2 == 0;
}

void add_hex(Pattern *p, std::string_view w) {
    for (size_t i = 0; i < w.size(); i += 2)
        add_u8(p, static_cast<unsigned>(number(w.substr(i, 2), 16)));
}

// x1000{...}: so many times.
void add_repeated(Pattern *p, std::string_view w, NotationState *st) {
    size_t brace = w.find('{');
    uint64_t n = number(w.substr(1, brace - 1));
    Pattern one = parse_bytes(braced(w.substr(brace)), st);
    std::string once = pattern_bytes(one, {}), all = once;
    size_t size = once.size() * n;
    while (all.size() < size) all += all; // by doubling: some are large
    all.resize(size);
    add(p, all);
}

void add_word(Pattern *p, std::string_view w, NotationState *st) {
    auto gap = [p](Element::Kind kind, size_t size) {
        Element &e = p->emplace_back();
        e.kind = kind;
        e.size = size;
    };
    if (w == "...") gap(Element::Rest, 0);
    else if (w == "??") gap(Element::Any, 1);
    else if (w.starts_with("?")) gap(Element::Any, number(w.substr(1)));
    else if (is_kept(w)) add_kept(p, w, st);
    else if (w.starts_with("{")) add(p, parse_message(braced(w), st));
    else if (w.starts_with("\"")) add(p, unquote(w));
    else if (w.starts_with("s\"")) add_string(p, unquote(w.substr(1)));
    else if (w.starts_with("u1:")) add_number(p, w.substr(3), 1);
    else if (w.starts_with("u2:")) add_number(p, w.substr(3), 2);
    else if (w.starts_with("u4:")) add_number(p, w.substr(3), 4);
    else if (w.starts_with("vb:")) {
        std::string s;
        put_varint(&s, static_cast<uint32_t>(number(w.substr(3))));
        add(p, s);
    } else if (w.starts_with("props{")) add_counted(p, parse_bytes(braced(w.substr(5)), st));
    else if (w.starts_with("len2{")) add_text(p, w.substr(4), st);
    else if (w.starts_with("x") && w.find('{') != std::string_view::npos) add_repeated(p, w, st);
    else if (is_hex(w)) add_hex(p, w);
    else if (!try_prop(p, w, st)) wrong("what is '" + std::string(w) + "'?");
}

Pattern parse_bytes(const std::vector<std::string> &words, size_t from, NotationState *st) {
    Pattern p;
    for (size_t i = from; i < words.size();) {
        const std::string &w = words[i++];
        if (w == "pkt") {
            if (i + 2 > words.size()) wrong("pkt HEAD {...}");
            add_hex(&p, words[i]);
            add_counted(&p, parse_bytes(braced(words[i + 1]), st));
            i += 2;
        } else if (w == "ws") {
            add_ws(&p, words, &i, st);
        } else {
            add_word(&p, w, st);
        }
    }
    return p;
}

// ---- templates -------------------------------------------------------------

// The words of one template: what each function takes, it strikes out.
struct Words {
    std::vector<std::string> all;
    NotationState *st;

    // The value of key=..., or `otherwise`.
    std::string take(std::string_view key, std::string_view otherwise) {
        for (size_t i = 0; i < all.size(); i++) {
            if (!all[i].starts_with(key) || all[i].size() <= key.size() ||
                all[i][key.size()] != '=') continue;
            std::string v = all[i].substr(key.size() + 1);
            all.erase(all.begin() + static_cast<long>(i));
            return v;
        }
        return std::string(otherwise);
    }
    bool take_word(std::string_view word) {
        for (size_t i = 0; i < all.size(); i++) {
            if (all[i] != word) continue;
            all.erase(all.begin() + static_cast<long>(i));
            return true;
        }
        return false;
    }
    std::string first(const char *what) {
        if (all.empty()) wrong(std::string(what) + " is missing");
        std::string w = all.front();
        all.erase(all.begin());
        return w;
    }
    // All properties among the words, in their order, without the length.
    Pattern props(std::string_view prefix = "") {
        Pattern p;
        for (size_t i = 0; i < all.size();) {
            std::string_view w = all[i];
            bool ours = w.starts_with(prefix) && try_prop(&p, w.substr(prefix.size()), st);
            if (ours) all.erase(all.begin() + static_cast<long>(i));
            else i++;
        }
        return p;
    }
    void end() const {
        if (!all.empty()) wrong("what is '" + all[0] + "'?");
    }
};

// Head byte, length and body; `head=` and `extra=` bend it.
Pattern packet(unsigned head, Pattern body, Words *w) {
    Pattern p;
    std::string other = w->take("head", "");
    std::string extra = w->take("extra", "");
    if (!extra.empty()) add(&body, parse_bytes(braced(extra), w->st));
    w->end();
    add_u8(&p, other.empty() ? head : static_cast<unsigned>(number(other, 16)));
    add_counted(&p, body);
    return p;
}

Pattern make_connect(Words w) {
    NotationState *st = w.st;
    for (int v : {3, 4, 5})
        if (w.take_word("v" + std::to_string(v))) st->version = v;
    std::string name = w.take("name", st->version == 3 ? "MQIsdp" : "MQTT");
    unsigned level = static_cast<unsigned>(number(w.take("level", std::to_string(st->version)), 16));
    std::string id = w.take("id", st->id.empty() ? "\"\"" : st->id);
    uint32_t keepalive = static_cast<uint32_t>(number(w.take("keepalive", "60")));
    std::string will = w.take("will", ""), user = w.take("user", ""), pass = w.take("pass", "");
    unsigned flags = w.take("clean", "1") == "1" ? 2 : 0;
    if (!will.empty()) flags |= 4;
    flags |= static_cast<unsigned>(number(w.take("will-qos", "0"))) << 3;
    if (w.take_word("will-retain")) flags |= 0x20;
    if (!pass.empty()) flags |= 0x40;
    if (!user.empty()) flags |= 0x80;
    std::string bent = w.take("flags", "");
    if (!bent.empty()) flags = static_cast<unsigned>(number(bent, 16));
    Pattern will_props = w.props("will-");
    Pattern props = w.props();

    Pattern body;
    add_string(&body, unquote(name));
    add_u8(&body, level);
    add_u8(&body, flags);
    add_u16(&body, keepalive);
    if (st->version == 5) add_counted(&body, props);
    add_text(&body, id, st);
    if (!will.empty()) {
        if (st->version == 5) add_counted(&body, will_props);
        size_t colon = find_outside(will, ':');
        if (colon == std::string::npos) wrong("will=topic:payload expected");
        add_text(&body, will.substr(0, colon), st);
        add_text(&body, will.substr(colon + 1), st);
    }
    if (!user.empty()) add_text(&body, user, st);
    if (!pass.empty()) add_text(&body, pass, st);
    return packet(0x10, body, &w);
}

Pattern make_connack(Words w) {
    bool present = w.take_word("present"), bare = w.take_word("noprops");
    bool usual = w.take_word("usual");
    unsigned code = static_cast<unsigned>(number(w.take("rc", "00"), 16));
    Pattern body, props = w.props();
    add_u8(&body, present);
    add_u8(&body, code);
    if (w.st->version == 5) {
        // What the reference sends when nothing special was asked or configured.
        if (usual || (props.empty() && !bare && !code))
            props = parse_bytes("alias-max=10 max-packet=2000000 receive-max=20", w.st);
        add_counted(&body, props);
    }
    return packet(0x20, body, &w);
}

Pattern make_publish(Words w) {
    std::string topic = w.first("the topic");
    unsigned qos = static_cast<unsigned>(number(w.take("qos", "0")));
    std::string id = w.take("id", ""), payload = w.take("payload", "");
    unsigned head = 0x30 | qos << 1;
    if (w.take_word("dup")) head |= 8;
    if (w.take_word("retain")) head |= 1;
    Pattern props = w.props(), body;
    add_text(&body, topic, w.st);
    if (qos && id.empty()) wrong("id= is missing");
    if (!id.empty()) {
        if (is_kept(id)) add_kept(&body, id, w.st);
        else if (id == "??") add_word(&body, "?2", w.st);
        else add_u16(&body, static_cast<uint32_t>(number(id)));
    }
    if (w.st->version == 5) add_counted(&body, props);
    if (!payload.empty()) add(&body, parse_bytes(braced(payload), w.st));
    else if (!w.all.empty() && w.all[0].starts_with("\"")) add(&body, unquote(w.first("")));
    return packet(head, body, &w);
}

// PUBACK, PUBREC, PUBREL, PUBCOMP: id [rc=HH] [properties].
Pattern make_ack(Words w, unsigned head) {
    Pattern body;
    std::string id = w.first("the packet id"), code = w.take("rc", "");
    Pattern props = w.props();
    if (is_kept(id)) add_kept(&body, id, w.st);
    else add_u16(&body, static_cast<uint32_t>(number(id)));
    if (w.st->version < 5 && (!code.empty() || !props.empty())) wrong("3.x has no reason codes");
    if (!code.empty() || !props.empty()) add_hex(&body, code.empty() ? "00" : code);
    if (!props.empty()) add_counted(&body, props);
    return packet(head, body, &w);
}

// SUBSCRIBE: id, then filters, each with its options behind it.
Pattern make_subscribe(Words w) {
    Pattern body, props;
    add_u16(&body, static_cast<uint32_t>(number(w.first("the packet id"))));
    props = w.props();
    if (w.st->version == 5) add_counted(&body, props);
    std::string head = w.take("head", ""), extra = w.take("extra", "");
    while (!w.all.empty()) {
        add_text(&body, w.first("the filter"), w.st);
        unsigned options = 0;
        for (; !w.all.empty(); w.all.erase(w.all.begin())) {
            std::string_view o = w.all[0];
            if (o.starts_with("qos=")) options |= static_cast<unsigned>(number(o.substr(4)));
            else if (o == "nl") options |= 4;
            else if (o == "rap") options |= 8;
            else if (o.starts_with("rh=")) options |= static_cast<unsigned>(number(o.substr(3))) << 4;
            else if (o.starts_with("options=")) options = static_cast<unsigned>(number(o.substr(8), 16));
            else break;
        }
        add_u8(&body, options);
    }
    if (!head.empty()) w.all.push_back("head=" + head);
    if (!extra.empty()) w.all.push_back("extra=" + extra);
    return packet(0x82, body, &w);
}

Pattern make_unsubscribe(Words w) {
    Pattern body;
    add_u16(&body, static_cast<uint32_t>(number(w.first("the packet id"))));
    Pattern props = w.props();
    if (w.st->version == 5) add_counted(&body, props);
    std::string head = w.take("head", ""), extra = w.take("extra", "");
    while (!w.all.empty()) add_text(&body, w.first("the filter"), w.st);
    if (!head.empty()) w.all.push_back("head=" + head);
    if (!extra.empty()) w.all.push_back("extra=" + extra);
    return packet(0xA2, body, &w);
}

// SUBACK, UNSUBACK: id and codes.
Pattern make_suback(Words w, unsigned head) {
    Pattern body;
    add_u16(&body, static_cast<uint32_t>(number(w.first("the packet id"))));
    Pattern props = w.props();
    if (w.st->version == 5) add_counted(&body, props);
    while (!w.all.empty() && (is_hex(w.all[0]) || w.all[0] == "??"))
        add_word(&body, w.first("codes"), w.st);
    return packet(head, body, &w);
}

// DISCONNECT, AUTH: [code] [properties].
Pattern make_end(Words w, unsigned head) {
    Pattern body, props = w.props();
    if (!w.all.empty() && is_hex(w.all[0])) add_hex(&body, w.first("the code"));
    else if (!props.empty()) add_u8(&body, 0);
    if (!props.empty()) add_counted(&body, props);
    return packet(head, body, &w);
}

Pattern parse_one(const std::vector<std::string> &words, NotationState *st) {
    if (words.empty()) wrong("nothing to send");
    const std::string &kind = words[0];
    Words w{{words.begin() + 1, words.end()}, st};
    if (kind == "connect") return make_connect(w);
    if (kind == "connack") return make_connack(w);
    if (kind == "publish") return make_publish(w);
    if (kind == "puback") return make_ack(w, 0x40);
    if (kind == "pubrec") return make_ack(w, 0x50);
    if (kind == "pubrel") return make_ack(w, 0x62);
    if (kind == "pubcomp") return make_ack(w, 0x70);
    if (kind == "subscribe") return make_subscribe(w);
    if (kind == "suback") return make_suback(w, 0x90);
    if (kind == "unsubscribe") return make_unsubscribe(w);
    if (kind == "unsuback") return make_suback(w, 0xB0);
    if (kind == "pingreq") return packet(0xC0, {}, &w);
    if (kind == "pingresp") return packet(0xD0, {}, &w);
    if (kind == "disconnect") return make_end(w, 0xE0);
    if (kind == "auth") return make_end(w, 0xF0);
    return parse_bytes(words, 0, st);
}

} // namespace

std::vector<std::string> split_words(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < line.size(); i++) {
        char c = line[i];
        if (quoted && c == '\\' && i + 1 < line.size()) {
            word += c;
            word += line[++i];
            continue;
        }
        if (c == '"') quoted = !quoted;
        if (!quoted && c == '{') {
            // "pkt 10 {" and "ws 2 {": a brace after a blank begins a word.
            depth++;
        }
        if (!quoted && c == '}') depth--;
        if (depth < 0) wrong("too many }");
        if (!quoted && !depth && (c == ' ' || c == '\t')) {
            if (!word.empty()) words.push_back(word);
            word.clear();
        } else {
            word += c;
        }
    }
    if (quoted) wrong("a quote is not closed");
    if (depth) wrong("a brace is not closed");
    if (!word.empty()) words.push_back(word);
    return words;
}

std::string unquote(std::string_view word) {
    if (!word.starts_with("\"")) return std::string(word);
    if (word.size() < 2 || word.back() != '"') wrong("a quote is not closed");
    std::string s;
    word = word.substr(1, word.size() - 2);
    for (size_t i = 0; i < word.size(); i++) {
        if (word[i] != '\\') {
            s += word[i];
            continue;
        }
        if (++i == word.size()) wrong("a lone backslash");
        if (word[i] == 'n') s += '\n';
        else if (word[i] == 'r') s += '\r';
        else if (word[i] == 'x') {
            s += static_cast<char>(number(word.substr(i + 1, 2), 16));
            i += 2;
        } else s += word[i];
    }
    return s;
}

Pattern parse_message(std::string_view text, NotationState *st) {
    Pattern all;
    std::vector<std::string> words = split_words(text), one;
    for (const std::string &w : words) {
        if (w != "+") {
            one.push_back(w);
            continue;
        }
        add(&all, parse_one(one, st));
        one.clear();
    }
    if (!words.empty()) add(&all, parse_one(one, st));
    return all;
}

size_t pattern_size(const Pattern &p) {
    size_t n = 0;
    if (open_ended(p)) return 0;
    for (const Element &e : p) n += element_size(e);
    return n;
}

std::string pattern_bytes(const Pattern &p, const Kept &kept) {
    std::string s;
    for (const Element &e : p) {
        if (e.kind == Element::Literal) {
            s += e.bytes;
        } else if (e.kind == Element::Kept) {
            auto it = kept.find(e.name);
            if (it == kept.end()) wrong("nothing remembered as " + e.name);
            s += it->second;
        } else {
            wrong("what is sent must be known whole");
        }
    }
    return s;
}

// Takes the element off the front of *in.
static bool take(const Element &e, std::string_view *in, Kept *kept) {
    size_t n = element_size(e);
    if (e.kind == Element::Rest) n = in->size();
    if (e.kind == Element::Length)
        for (n = 0; n < in->size() && n < 4;)
            if (!((*in)[n++] & 0x80)) break;
    if (n > in->size()) return false;
    std::string_view v = in->substr(0, n);
    in->remove_prefix(n);
    uint64_t value = 0;
    switch (e.kind) {
    case Element::Literal: return v == e.bytes;
    case Element::Kept: return v == (*kept)[e.name];
    case Element::Keep: (*kept)[e.name] = v; return true;
    case Element::Range:
        for (char c : v) value = value << 8 | static_cast<unsigned char>(c);
        return value >= e.low && value <= e.high;
    case Element::Any:
    case Element::Length:
    case Element::Rest: break;
    }
    return true;
}

bool pattern_matches(const Pattern &p, std::string_view bytes, Kept *kept) {
    Kept copy = *kept;
    for (const Element &e : p)
        if (!take(e, &bytes, &copy)) return false;
    if (!bytes.empty()) return false;
    *kept = copy;
    return true;
}

std::string pattern_text(const Pattern &p) {
    std::string s;
    for (const Element &e : p) {
        if (!s.empty()) s += ' ';
        if (e.kind == Element::Literal) s += hex_text(e.bytes);
        else if (e.kind == Element::Any) s += "?" + std::to_string(e.size);
        else if (e.kind == Element::Range) s += std::to_string(e.low) + ".." + std::to_string(e.high);
        else if (e.kind == Element::Keep || e.kind == Element::Kept) s += "<" + e.name + ">";
        else s += e.kind == Element::Length ? "LEN" : "...";
    }
    return s;
}

} // namespace seq
