#include "seq/play.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <stdexcept>

#include "seq/packet.h"
#include "sim/wsclient.h"

namespace seq {

using namespace websocket;
namespace {

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const std::string PINGREQ("\xC0\0", 2), PINGRESP("\xD0\0", 2);

// A named connection of the case.
struct Wire {
    std::string name;
    int channel = -1;
    bool live = false;        // opened, and its end was not noticed yet
    bool web = false;         // on the WebSocket listener
    bool by_hand = false;     // the case writes the WebSocket bytes itself
    bool mute = false;        // answers no Close
    bool accepted = false;    // CONNACK came
    bool left = false;        // sent DISCONNECT
    bool stopped = false;
    bool unsynced = false;    // sent something since the last barrier
    int version = 5;
    std::string stream;       // MQTT bytes, not yet taken
    std::string sent;         // MQTT bytes that do not make a whole packet yet
    std::deque<bool> pings;   // PINGREQs under way: true = of a barrier
    WsReader ws;
    std::deque<WsFrame> controls; // WebSocket control frames, not yet taken
    bool close_answered = false;
};

struct Player {
    const Case &c;
    Variant variant;
    Backend *backend;
    std::map<std::string, Wire> wires;
    Kept kept;
    const Step *now = nullptr;

    void run();
    void run_step(const Step &);

    // wires
    Wire &wire(const Step &);
    void open(Wire *, const Step &);
    void write_raw(Wire *, std::string_view bytes);
    void write_mqtt(Wire *, std::string_view bytes);
    void note_sent(Wire *, std::string_view bytes);
    void pull(Wire *);
    void take_frames(Wire *);
    std::optional<std::string> take_packet(Wire *);
    bool wait_more(Wire *);
    std::optional<std::string> next_packet(Wire *);
    void await_end(Wire *, const std::vector<unsigned> &ws_codes);
    void forget(Wire *);

    // barriers
    bool can_ping(const Wire &) const;
    void barrier(Wire *);
    void sync_others(const Wire *);
    void expect_nothing(const std::string &conn, bool ask);
    void check_quiet(Wire *);

    // expectations
    void expect(const Step &);
    void expect_any_order(size_t from, size_t to);
    void expect_accepted(const Step &);
    void expect_ends(const Step &);
    void expect_http(const Step &);
    void expect_frame(const Step &);

    [[noreturn]] void fail(const std::string &what) const;
};

void Player::fail(const std::string &what) const {
    int line = now ? now->line : c.line;
    std::string s = c.file + ":" + std::to_string(line) + ": ";
    if (now) s += now->text + (now->row.empty() ? "" : "   // row: " + now->row) + "\n    ";
    throw Failure(s + what);
}

// ---- wires -----------------------------------------------------------------

Wire &Player::wire(const Step &s) {
    Wire &w = wires[s.conn];
    w.name = s.conn;
    if (!w.live) fail(s.conn + " is not connected");
    return w;
}

void Player::open(Wire *w, const Step &s) {
    *w = Wire{};
    w->name = s.conn;
    w->version = s.version;
    w->web = s.kind == "web" || s.kind == "ws" || (s.kind.empty() && variant.web);
    w->by_hand = s.kind == "web" || s.kind == "ws";
    w->mute = s.mute;
    sync_others(w);
    w->channel = backend->open(w->web);
    w->live = true;
    if (w->channel < 0) return; // refused; `closed` is the only thing to expect
    if (!w->web || s.kind == "web") return;
    write_raw(w, ws_request(backend->host(), s.protocol, s.path));
    for (pull(w); !w->ws.open; pull(w))
        if (w->ws.refused || backend->ended(w->channel) || !backend->more())
            fail("no WebSocket: " + (w->ws.head.empty() ? "no answer" : w->ws.head));
}

void Player::write_raw(Wire *w, std::string_view bytes) {
    if (w->channel < 0) return;
    if (!variant.cut) return backend->send(w->channel, bytes);
    // The beginning is what matters; a long payload goes in larger pieces.
    for (size_t i = 0; i < bytes.size();) {
        size_t n = i < 300 ? 1 : std::min<size_t>(777, bytes.size() - i);
        backend->send(w->channel, bytes.substr(i, n));
        i += n;
    }
}

void Player::write_mqtt(Wire *w, std::string_view bytes) {
    if (w->channel < 0) return;
    note_sent(w, bytes);
    if (!w->web) return write_raw(w, bytes);
    if (!variant.cut) return backend->send(w->channel, ws_data(bytes));
    // Cut: every byte in a frame of its own, and the first frames cut as well.
    for (size_t i = 0; i < bytes.size();) {
        size_t n = i < 300 ? 1 : std::min<size_t>(777, bytes.size() - i);
        std::string frame = ws_data(bytes.substr(i, n));
        if (i < 20 && !backend->real())
            for (char byte : frame) backend->send(w->channel, std::string_view(&byte, 1));
        else backend->send(w->channel, frame);
        i += n;
    }
}

// Follows what was sent: are packets whole, which of them are PINGREQs?
void Player::note_sent(Wire *w, std::string_view bytes) {
    w->unsynced = true;
    w->sent.append(bytes);
    for (long n; (n = packet_size(w->sent)) > 0;) {
        unsigned type = static_cast<unsigned char>(w->sent[0]) >> 4;
        if (type == 12) w->pings.push_back(false);
        if (type == 14) w->left = true;
        w->sent.erase(0, static_cast<size_t>(n));
    }
}

void Player::take_frames(Wire *w) {
    for (const WsFrame &f : w->ws.frames) {
        if (f.opcode < WS_CLOSE) w->stream += f.payload;
        else if (w->by_hand || f.opcode != WS_CLOSE) w->controls.push_back(f);
    }
    w->ws.frames.clear();
    if (!w->ws.fault.empty()) fail("WebSocket: " + w->ws.fault);
    if (!w->ws.close_received || w->close_answered || w->mute) return;
    w->close_answered = true;
    WsFrame answer;
    answer.opcode = WS_CLOSE;
    if (w->ws.close_code) put_u16(&answer.payload, static_cast<uint32_t>(w->ws.close_code));
    backend->send(w->channel, ws_frame(answer));
}

// Takes over what has arrived.
void Player::pull(Wire *w) {
    if (w->channel < 0) return;
    std::string &in = backend->inbox(w->channel);
    while (!in.empty()) { // an answer to a Close may bring more
        std::string bytes;
        bytes.swap(in);
        if (w->web) {
            w->ws.feed(bytes);
            take_frames(w);
        } else {
            w->stream += bytes;
        }
    }
}

std::optional<std::string> Player::take_packet(Wire *w) {
    pull(w);
    long n = packet_size(w->stream);
    if (n < 0) fail("the broker sends an impossible length: " + hex_text(w->stream));
    if (n == 0) return std::nullopt;
    std::string packet = w->stream.substr(0, static_cast<size_t>(n));
    w->stream.erase(0, static_cast<size_t>(n));
    return packet;
}

// Waits for more input. False: none will come, or time is up.
bool Player::wait_more(Wire *w) {
    if (w->channel < 0) return false;
    if (backend->ended(w->channel)) return !backend->inbox(w->channel).empty();
    return backend->more();
}

// The next packet, or nothing if the connection ended or time is up.
std::optional<std::string> Player::next_packet(Wire *w) {
    for (;;) {
        std::optional<std::string> p = take_packet(w);
        if (!p) {
            if (!wait_more(w)) return std::nullopt;
            continue;
        }
        if (*p != PINGRESP || w->pings.empty()) return p;
        bool of_barrier = w->pings.front();
        w->pings.pop_front();
        if (!of_barrier) return p;
    }
}

void Player::forget(Wire *w) {
    w->live = false;
    w->unsynced = false;
}

void Player::await_end(Wire *w, const std::vector<unsigned> &ws_codes) {
    if (std::optional<std::string> p = next_packet(w))
        fail("expected the end of the connection, got\n    " + packet_text(w->version, *p));
    if (w->channel >= 0 && !backend->ended(w->channel)) fail("the connection is still open");
    if (!w->stream.empty()) fail("half a packet before the end: " + hex_text(w->stream));
    if (w->web && w->ws.open && !ws_codes.empty()) {
        unsigned code = w->ws.close_received ? static_cast<unsigned>(w->ws.close_code) : 0;
        if (std::find(ws_codes.begin(), ws_codes.end(), code) == ws_codes.end())
            fail("closed with WebSocket code " + std::to_string(code));
    }
    if (w->channel >= 0) backend->finish(w->channel);
    forget(w);
}

// ---- barriers --------------------------------------------------------------

bool Player::can_ping(const Wire &w) const {
    return w.live && w.accepted && !w.left && !w.stopped && !w.by_hand && w.sent.empty() &&
           w.channel >= 0 && !backend->ended(w.channel);
}

// Returns when the broker has worked off everything that was sent on this
// connection. What arrives meanwhile stays in the stream.
void Player::barrier(Wire *w) {
    w->unsynced = false;
    if (!backend->real() || !can_ping(*w)) return;
    write_mqtt(w, PINGREQ);
    w->unsynced = false;
    w->pings.back() = true;
    std::string kept_back;
    std::deque<bool> own; // PINGRESPs of the case itself that came first
    for (bool answered = false; !answered;) {
        std::optional<std::string> p = take_packet(w);
        if (!p && wait_more(w)) continue;
        if (!p && !backend->ended(w->channel)) fail("no PINGRESP for " + w->name);
        if (!p) break;
        if (*p == PINGRESP && !w->pings.empty()) {
            answered = w->pings.front();
            w->pings.pop_front();
            if (answered) break;
            own.push_back(false);
        }
        kept_back += *p;
    }
    own.insert(own.end(), w->pings.begin(), w->pings.end());
    w->pings = own;
    w->stream = kept_back + w->stream;
}

void Player::sync_others(const Wire *except) {
    if (!backend->real()) return;
    for (auto &[name, w] : wires)
        if (&w != except && w.live && w.unsynced) barrier(&w);
}

void Player::check_quiet(Wire *w) {
    pull(w);
    // In a World next_packet never waits; else only what is here counts.
    long n = packet_size(w->stream);
    if (n > 0) fail(w->name + " got, unexpected,\n    " +
                    packet_text(w->version, std::string_view(w->stream).substr(0, static_cast<size_t>(n))));
    if (!w->stream.empty()) fail(w->name + " got half a packet: " + hex_text(w->stream));
    if (!w->controls.empty())
        fail(w->name + " got a WebSocket control frame, opcode " + std::to_string(w->controls[0].opcode));
    if (w->channel < 0 || backend->ended(w->channel)) fail("the broker has closed " + w->name);
}

void Player::expect_nothing(const std::string &conn, bool ask) {
    bool blind = false;
    // Two rounds: the first may make the broker send, the second waits for it.
    for (int round = 0; ask && backend->real() && round < 2; round++)
        for (auto &[name, w] : wires) {
            if (!w.live) continue;
            if (can_ping(w)) barrier(&w);
            else blind |= conn.empty() || conn == name;
        }
    if (blind && backend->real()) backend->pass(30);
    for (auto &[name, w] : wires) {
        if (!w.live || w.stopped || (!conn.empty() && conn != name)) continue;
        check_quiet(&w);
    }
}

// ---- expectations ----------------------------------------------------------

std::string wanted(const Step &s) {
    std::string all;
    for (const Pattern &p : s.patterns) all += (all.empty() ? "" : " or ") + pattern_text(p);
    return all;
}

void Player::expect(const Step &s) {
    Wire &w = wire(s);
    std::optional<std::string> p = next_packet(&w);
    if (!p) {
        bool ended = w.channel < 0 || backend->ended(w.channel);
        fail(std::string("expected ") + wanted(s) + "\n    but " +
             (ended ? "the connection was closed" : "nothing came"));
    }
    std::string fault = packet_fault(w.version, *p);
    for (const Pattern &pattern : s.patterns)
        if (pattern_matches(pattern, *p, &kept)) {
            // What a case spells out byte by byte is on its own authority.
            bool spelled_out = pattern.size() == 1 && pattern[0].kind == Element::Literal;
            if (!fault.empty() && !spelled_out) fail("as expected, but " + fault + ": " + packet_text(w.version, *p));
            if (static_cast<unsigned char>((*p)[0]) == 0x20) w.accepted = p->size() > 3 && !(*p)[3];
            return;
        }
    fail("expected " + wanted(s) + "\n    got      " + packet_text(w.version, *p) +
         (fault.empty() ? "" : "\n    which is wrong in itself: " + fault));
}

// Steps `from` to `to` (not included), all `<*`: per connection in any order.
void Player::expect_any_order(size_t from, size_t to) {
    std::vector<const Step *> open;
    for (size_t i = from; i < to; i++) open.push_back(&c.steps[i]);
    while (!open.empty()) {
        now = open[0];
        Wire &w = wire(*now);
        std::optional<std::string> p = next_packet(&w);
        if (!p) fail("did not come (any order)");
        std::string fault = packet_fault(w.version, *p);
        if (!fault.empty()) fail(fault + ": " + packet_text(w.version, *p));
        auto fits = [&](const Step *s) {
            if (s->conn != w.name) return false;
            for (const Pattern &pattern : s->patterns)
                if (pattern_matches(pattern, *p, &kept)) return true;
            return false;
        };
        auto it = std::find_if(open.begin(), open.end(), fits);
        if (it == open.end())
            fail("expected " + wanted(*now) + " (any order)\n    got      " + packet_text(w.version, *p));
        open.erase(it);
    }
}

void Player::expect_accepted(const Step &s) {
    Wire &w = wire(s);
    std::optional<std::string> p = next_packet(&w);
    if (!p) fail("no CONNACK");
    std::string fault = packet_fault(w.version, *p);
    if (fault.empty() && static_cast<unsigned char>((*p)[0]) != 0x20) fault = "not a CONNACK";
    if (fault.empty() && (*p)[3]) fault = "refused";
    if (fault.empty() && w.version > 3 && ((*p)[2] == 1) != s.present)
        fault = s.present ? "no session present" : "a session is present";
    if (!fault.empty()) fail(fault + ": " + packet_text(w.version, *p));
    w.accepted = true;
}

// DISCONNECT (Ends) or CONNACK (Refuses) with one of the codes, then the end.
void Player::expect_ends(const Step &s) {
    Wire &w = wire(s);
    bool refuses = s.verb == Verb::Refuses;
    std::optional<std::string> p;
    if (w.version == 5 || refuses) p = next_packet(&w);
    if (p) {
        std::string fault = packet_fault(w.version, *p);
        unsigned head = static_cast<unsigned char>((*p)[0]);
        size_t code_at = refuses ? 3 : 2;
        unsigned code = p->size() > code_at ? static_cast<unsigned char>((*p)[code_at]) : 0;
        if (fault.empty() && head != (refuses ? 0x20u : 0xE0u)) fault = "another packet was expected";
        if (fault.empty() && std::find(s.codes.begin(), s.codes.end(), code) == s.codes.end())
            fault = "another code was expected";
        if (fault.empty() && refuses && (*p)[2]) fault = "session present in a refusal";
        // A refusal has no properties (a reference's habit that tests compare).
        if (fault.empty() && refuses && p->size() > (w.version == 5 ? 5u : 4u)) fault = "properties in a refusal";
        if (!fault.empty()) fail(fault + ": " + packet_text(w.version, *p));
    } else if (w.version == 5 || refuses) {
        bool ended = w.channel < 0 || backend->ended(w.channel);
        if (!ended) fail("nothing came, and the connection is open");
        if (!s.silent_too) fail("closed without a packet");
    }
    await_end(&w, {});
}

void Player::expect_http(const Step &s) {
    Wire &w = wire(s);
    for (pull(&w); w.ws.head.empty(); pull(&w))
        if (backend->ended(w.channel) || !backend->more()) {
            pull(&w);
            if (!w.ws.head.empty()) break;
            fail("no HTTP answer" + (w.ws.raw.empty() ? "" : ": " + w.ws.raw));
        }
    const std::string &head = w.ws.head;
    unsigned status = head.starts_with("HTTP/1.1 ") ? static_cast<unsigned>(atoi(head.c_str() + 9)) : 0;
    if (std::find(s.codes.begin(), s.codes.end(), status) == s.codes.end()) fail("got " + head);
    std::string lines;
    for (const std::string &h : s.headers) {
        if (head.find("\r\n" + h + "\r\n") == std::string::npos) fail("no '" + h + "' in " + head);
        lines += h + "\r\n";
    }
    std::string rest = head.substr(head.find("\r\n") + 2);
    if (s.exact && rest != lines + "\r\n") fail("other headers were expected: " + head);
    if (status == 101) return;
    // The body: as long as Content-Length says, and never the request again.
    size_t at = head.find("\r\nContent-Length: ");
    if (at == std::string::npos) fail("no Content-Length in " + head);
    size_t length = static_cast<size_t>(atol(head.c_str() + at + 18));
    while (w.ws.raw.size() < length && !backend->ended(w.channel) && backend->more()) pull(&w);
    if (w.ws.raw.size() < length) fail("the body is cut short: " + head + w.ws.raw);
    w.ws.raw.erase(0, length);
    w.ws.head.clear();
    w.ws.refused = false; // another answer may follow
    w.ws.feed("");
}

void Player::expect_frame(const Step &s) {
    Wire &w = wire(s);
    for (pull(&w); w.controls.empty(); pull(&w))
        if (backend->ended(w.channel) || !backend->more()) {
            pull(&w);
            if (!w.controls.empty()) break;
            fail("no control frame came");
        }
    WsFrame f = w.controls.front();
    w.controls.pop_front();
    bool good = f.opcode == s.codes[0];
    bool matched = s.patterns.empty();
    for (const Pattern &p : s.patterns) matched |= pattern_matches(p, f.payload, &kept);
    if (!good || !matched)
        fail("got opcode " + std::to_string(f.opcode) + " with [" + hex_text(f.payload) + "]");
}

// ---- steps -----------------------------------------------------------------

void Player::run_step(const Step &s) {
    now = &s;
    switch (s.verb) {
    case Verb::Open: open(&wires[s.conn], s); break;
    case Verb::Send: {
        if (s.opens && !wires[s.conn].live) open(&wires[s.conn], s);
        Wire &w = wire(s);
        w.version = s.version;
        sync_others(&w);
        std::string bytes = pattern_bytes(s.patterns[0], kept);
        if (w.by_hand) write_raw(&w, bytes);
        else write_mqtt(&w, bytes);
        break;
    }
    case Verb::Accepted: expect_accepted(s); break;
    case Verb::Expect: expect(s); break;
    case Verb::Ends:
    case Verb::Refuses: expect_ends(s); break;
    case Verb::Closed: {
        Wire &w = wire(s);
        await_end(&w, s.codes);
        break;
    }
    case Verb::Nothing: expect_nothing(s.conn, true); break;
    case Verb::Silence: expect_nothing(s.conn, false); break;
    case Verb::Http: expect_http(s); break;
    case Verb::Frame: expect_frame(s); break;
    case Verb::Drop:
    case Verb::Reset: {
        Wire &w = wire(s);
        sync_others(nullptr);
        if (s.verb == Verb::Drop) backend->finish(w.channel);
        else backend->reset(w.channel);
        forget(&w);
        break;
    }
    case Verb::Stop:
    case Verb::Resume: {
        Wire &w = wire(s);
        w.stopped = s.verb == Verb::Stop;
        if (w.stopped) backend->stop(w.channel);
        else backend->resume(w.channel);
        break;
    }
    case Verb::Wait:
        sync_others(nullptr);
        backend->pass(s.ms);
        break;
    case Verb::Shutdown:
        sync_others(nullptr);
        backend->shutdown();
        break;
    case Verb::Sync: barrier(&wire(s)); break;
    case Verb::Clear:
        expect_nothing("", true);
        for (auto &[name, w] : wires)
            if (w.live) backend->finish(w.channel), forget(&w);
        break;
    }
}

void Player::run() {
    for (size_t i = 0; i < c.steps.size(); i++) {
        if (!c.steps[i].any_order) {
            run_step(c.steps[i]);
            continue;
        }
        size_t end = i;
        while (end < c.steps.size() && c.steps[end].any_order) end++;
        expect_any_order(i, end);
        i = end - 1;
    }
    // Whatever a case does not expect is wrong, to the very end.
    now = nullptr;
    expect_nothing("", true);
}

} // namespace

const char *variant_text(const Variant &v) {
    return v.web ? v.cut ? "WebSocket, cut" : "WebSocket" : v.cut ? "plain, cut" : "plain";
}

std::string play(const Case &c, const Variant &v, Backend *backend) {
    Player player{c, v, backend, {}, {}};
    try {
        player.run();
        std::string fault = backend->end();
        if (fault.empty()) return "";
        return c.file + ":" + std::to_string(c.line) + ": afterwards: " + fault;
    } catch (const Failure &e) {
        return e.what();
    } catch (const std::exception &e) {
        int line = player.now ? player.now->line : c.line;
        return c.file + ":" + std::to_string(line) + ": " + e.what();
    }
}

} // namespace seq
