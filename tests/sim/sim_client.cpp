#include "sim/sim_client.h"

#include "base/log.h"

namespace sim {

// ---- bytes -----------------------------------------------------------------

static char byte_of(size_t v) { return static_cast<char>(v & 0xff); }

std::string sim_u16(size_t v) { return {byte_of(v >> 8), byte_of(v)}; }
std::string sim_u32(size_t v) { return sim_u16(v >> 16) + sim_u16(v); }
std::string sim_varint(size_t n) {
    std::string out;
    for (; n >= 128; n >>= 7) out += byte_of((n & 0x7f) | 0x80);
    return out + byte_of(n);
}
std::string sim_text(std::string_view v) { return sim_u16(v.size()).append(v); }
std::string sim_packet(unsigned head, std::string_view body) {
    return byte_of(head) + sim_varint(body.size()).append(body);
}

static std::string prop(uint8_t id, const std::string &value) { return byte_of(id) + value; }
std::string prop_u8(uint8_t id, unsigned v) { return prop(id, std::string(1, byte_of(v))); }
std::string prop_u16(uint8_t id, size_t v) { return prop(id, sim_u16(v)); }
std::string prop_u32(uint8_t id, size_t v) { return prop(id, sim_u32(v)); }
std::string prop_varint(uint8_t id, size_t v) { return prop(id, sim_varint(v)); }
std::string prop_text(uint8_t id, std::string_view v) { return prop(id, sim_text(v)); }

static std::string props_block(int version, std::string_view props) {
    return version == 5 ? sim_varint(props.size()).append(props) : std::string();
}

// ---- packets to the broker -------------------------------------------------

std::string connect_packet(const Hello &h) {
    bool has_will = !h.will_topic.empty();
    unsigned flags = (h.clean ? 2u : 0u) | (h.user.empty() ? 0u : 0x80u);
    if (has_will) flags |= 4u | unsigned{h.will_qos} << 3 | (h.will_retain ? 0x20u : 0u);
    std::string body = sim_text(h.version == 3 ? "MQIsdp" : "MQTT");
    body += byte_of(static_cast<size_t>(h.version));
    body += byte_of(flags);
    body += sim_u16(h.keep_alive_s) + props_block(h.version, h.props) + sim_text(h.id);
    if (has_will)
        body += props_block(h.version, h.will_props) + sim_text(h.will_topic) +
                sim_text(h.will_payload);
    if (!h.user.empty()) body += sim_text(h.user);
    return sim_packet(0x10, body);
}

std::string publish_packet(const Note &n, int version) {
    unsigned head = 0x30u | (n.dup ? 8u : 0u) | unsigned{n.qos} << 1 | (n.retain ? 1u : 0u);
    std::string body = sim_text(n.topic);
    if (n.qos) body += sim_u16(n.id);
    return sim_packet(head, body + props_block(version, n.props) + n.payload);
}

// ---- packets from the broker -----------------------------------------------

// A cursor that never reads too far; `bad` stays set.
namespace {
struct Cursor {
    std::string_view in;
    bool bad = false;
    std::string_view take(size_t n) {
        if (n > in.size()) {
            bad = true;
            in = {};
            return {};
        }
        std::string_view v = in.substr(0, n);
        in.remove_prefix(n);
        return v;
    }
    size_t number(size_t bytes) {
        size_t v = 0;
        for (char c : take(bytes)) v = v << 8 | static_cast<unsigned char>(c);
        return v;
    }
    size_t varint() {
        size_t v = 0;
        for (int shift = 0; shift < 28; shift += 7) {
            size_t b = number(1);
            v |= (b & 0x7f) << shift;
            if (!(b & 0x80)) return v;
        }
        bad = true;
        return 0;
    }
    std::string text() { return std::string(take(number(2))); }
};
} // namespace

void SimClient::read_props(Got *g, std::string_view props) {
    g->props = props;
    Cursor c{props};
    while (!c.in.empty() && !c.bad) {
        switch (c.number(1)) {
        case 0x01: case 0x24: case 0x25: case 0x28: case 0x29: case 0x2a: c.number(1); break;
        case 0x02: g->expiry_s = static_cast<uint32_t>(c.number(4)); break;
        case 0x11: case 0x27: c.number(4); break;
        case 0x03: case 0x08: case 0x09: case 0x1f: c.text(); break;
        case 0x12: g->assigned_id = c.text(); break;
        case 0x0b: g->sub_ids.push_back(static_cast<uint32_t>(c.varint())); break;
        case 0x13: c.number(2); break;
        case 0x21: g->receive_maximum = static_cast<uint16_t>(c.number(2)); break;
        case 0x22: g->alias_maximum = static_cast<uint16_t>(c.number(2)); break;
        case 0x23: g->alias = static_cast<uint16_t>(c.number(2)); break;
        case 0x26: c.text(); c.text(); break;
        default: c.bad = true;
        }
    }
    if (c.bad) fault = "bad properties";
}

// Fills in the topic, or remembers it [MQTT-3.3.2-12].
static bool resolve_alias(std::vector<std::string> *aliases, Got *g) {
    if (!g->alias) return !g->topic.empty();
    if (aliases->size() < g->alias) aliases->resize(g->alias);
    std::string &known = (*aliases)[g->alias - 1u];
    g->by_alias = g->topic.empty();
    if (g->by_alias) g->topic = known;
    else known = g->topic;
    return !g->topic.empty();
}

void SimClient::read(Got *g, std::string_view body) {
    Cursor c{body};
    bool v5 = hello.version == 5;
    auto props = [&] {
        if (v5) read_props(g, c.take(c.varint()));
    };
    switch (g->type) {
    case CONNACK:
        g->present = c.number(1);
        g->code = static_cast<uint8_t>(c.number(1));
        // A version that it does not know is refused in the form of 5.0.
        if (v5 || !c.in.empty()) read_props(g, c.take(c.varint()));
        break;
    case PUBLISH:
        g->topic = c.text();
        if (g->qos()) g->id = static_cast<uint16_t>(c.number(2));
        props();
        g->payload = c.take(c.in.size());
        if (!resolve_alias(&aliases, g)) fault = "PUBLISH without a topic";
        break;
    case PUBACK: case PUBREC: case PUBREL: case PUBCOMP:
        g->id = static_cast<uint16_t>(c.number(2));
        if (v5 && !c.in.empty()) g->code = static_cast<uint8_t>(c.number(1));
        if (v5 && !c.in.empty()) props();
        break;
    case SUBACK: case UNSUBACK:
        g->id = static_cast<uint16_t>(c.number(2));
        props();
        g->codes = c.take(c.in.size());
        break;
    case PINGRESP: break;
    case DISCONNECT:
        if (v5 && !c.in.empty()) g->code = static_cast<uint8_t>(c.number(1));
        if (v5 && !c.in.empty()) props();
        if (!v5) fault = "DISCONNECT to a 3.x client";
        break;
    default: fault = "a packet that servers do not send";
    }
    if (c.bad || !c.in.empty()) fault = "malformed packet of type " + std::to_string(g->type);
}

// Takes one whole packet off the stream.
bool SimClient::cut_packet(Got *g) {
    std::string_view in = std::string_view(stream).substr(stream_at);
    size_t n = 0, at = 1;
    for (int shift = 0;; shift += 7, at++) {
        if (at >= in.size()) return false;
        auto b = static_cast<unsigned char>(in[at]);
        n |= static_cast<size_t>(b & 0x7f) << shift;
        if (!(b & 0x80)) break;
    }
    at++;
    if (in.size() - at < n) return false;
    *g = {};
    g->type = static_cast<uint8_t>(static_cast<unsigned char>(in[0]) >> 4);
    g->flags = in[0] & 0x0f;
    read(g, in.substr(at, n));
    stream_at += at + n;
    return true;
}

static const char *const NAMES[16] = {
    "?", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp",
    "subscribe", "suback", "unsubscribe", "unsuback", "ping", "pong", "bye", "auth"};

static std::string hex(unsigned v) {
    char out[8];
    snprintf(out, sizeof out, "%02x", v & 0xff);
    return out;
}

std::string describe(const Got &g) {
    std::string out = NAMES[g.type];
    if (g.type == PUBLISH) {
        bool is_long = g.payload.size() > 40;
        out = g.topic + "=" + (is_long ? std::to_string(g.payload.size()) + " bytes" : g.payload);
        if (g.qos()) out += " q" + std::to_string(g.qos()) + " #" + std::to_string(g.id);
        if (g.dup()) out += " dup";
        if (g.retain()) out += " retain";
        for (uint32_t id : g.sub_ids) out += " id" + std::to_string(id);
        if (g.expiry_s != UINT32_MAX) out += " " + std::to_string(g.expiry_s) + "s";
        return out;
    }
    if (g.id) out += " " + std::to_string(g.id);
    if (g.present) out += " present";
    if (g.code) out += " 0x" + hex(g.code);
    for (char c : g.codes) out += " " + hex(static_cast<unsigned char>(c));
    return out;
}

// ---- the client ------------------------------------------------------------

void SimClient::dial(Listener *l, const Addr &from) {
    peer = world->connect(l, from);
    is_web = l->options.protocol == Protocol::WebSockets;
    web = {};
    stream.clear();
    stream_at = 0;
    aliases.clear();
    told_end = false;
    if (!peer || !is_web) return world->settle();
    std::string request = websocket::ws_request(web_host);
    request.insert(request.size() - 2, web_headers);
    world->send(peer, request);
    world->settle();
}

std::string SimClient::framed(std::string_view packets) const {
    return is_web ? websocket::ws_data(packets) : std::string(packets);
}

void SimClient::post(std::string_view packets) {
    if (peer && !peer->finished && !peer->broken) world->send(peer, framed(packets));
}

void SimClient::send(std::string_view packets) {
    post(packets);
    world->settle();
}

uint16_t SimClient::publish(const Note &n) {
    Note note = n;
    if (note.qos && !note.id) note.id = next_id++;
    send(publish_packet(note, hello.version));
    return note.id;
}

uint16_t SimClient::subscribe(std::string_view filter, unsigned options, std::string_view props) {
    uint16_t id = next_id++;
    std::string body = sim_u16(id) + props_block(hello.version, props) + sim_text(filter);
    body += byte_of(options);
    send(sim_packet(0x82, body));
    return id;
}

uint16_t SimClient::unsubscribe(std::string_view filter) {
    uint16_t id = next_id++;
    send(sim_packet(0xa2, sim_u16(id) + props_block(hello.version, {}) + sim_text(filter)));
    return id;
}

static std::string ack_packet(SimType type, uint16_t id, unsigned code) {
    std::string body = sim_u16(id);
    if (code) body += byte_of(code);
    return sim_packet(unsigned{type} << 4 | (type == PUBREL ? 2u : 0u), body);
}

void SimClient::ack(SimType type, uint16_t id, unsigned code) { send(ack_packet(type, id, code)); }

void SimClient::disconnect(unsigned code, std::string_view props) {
    std::string body;
    if (code || !props.empty()) body += byte_of(code);
    if (!props.empty()) body += props_block(5, props);
    send(sim_packet(0xe0, body));
}

void SimClient::answer(const Got &g) {
    if (g.type == PUBLISH && g.qos() == 1) post(ack_packet(PUBACK, g.id, 0));
    if (g.type == PUBLISH && g.qos() == 2) post(ack_packet(PUBREC, g.id, 0));
    if (g.type == PUBREC && !(g.code & 0x80)) post(ack_packet(PUBREL, g.id, 0));
    if (g.type == PUBREL) post(ack_packet(PUBCOMP, g.id, 0));
}

std::vector<Got> SimClient::take(size_t most) {
    std::vector<Got> all;
    for (bool more = peer; more;) {
        size_t n = peer->inbox.size() < most ? peer->inbox.size() : most;
        std::string bytes = peer->inbox.substr(0, n);
        peer->inbox.erase(0, n);
        most -= n;
        if (is_web) {
            web.feed(bytes);
            for (const websocket::WsFrame &f : web.frames)
                if (f.opcode <= websocket::WS_BINARY) stream += f.payload;
            web.frames.clear();
            if (!web.fault.empty()) fault = web.fault;
        } else {
            stream += bytes;
        }
        size_t before = all.size();
        for (Got g; cut_packet(&g);) {
            if (acks) answer(g);
            all.push_back(std::move(g));
        }
        stream.erase(0, stream_at);
        stream_at = 0;
        more = acks && all.size() > before;
        if (more) world->settle();
    }
    return all;
}

std::string SimClient::seen() {
    std::string out;
    auto add = [&out](const std::string &word) { out += (out.empty() ? "" : ", ") + word; };
    for (const Got &g : take()) add(describe(g));
    if (!fault.empty()) add("FAULT: " + fault);
    if ((!peer || peer->ended) && !told_end) {
        add("closed");
        told_end = true;
    }
    return out;
}

// ---- the scene -------------------------------------------------------------

static void trap(void *user, LogType, Bytes line) {
    static_cast<LogTrap *>(user)->lines.append(line).append("\n");
}

static LogTrap *innermost;

static void aim(LogTrap *trap_or_null) {
    LogOptions o;
    if (trap_or_null) o.destinations = LOG_TO_TOPIC;
    char error[64];
    (void)log_configure(&o, error, sizeof error);
    log_set_topic_sink(trap_or_null ? trap : nullptr, trap_or_null);
    innermost = trap_or_null;
}

LogTrap::LogTrap() : outer(innermost) { aim(this); }
LogTrap::~LogTrap() { aim(outer); }

Scene::Scene(void (*prepare)(Scene *)) {
    ListenerOptions o;
    o.protocol = Protocol::WebSockets;
    o.port = 9001;
    plain = world.listen(Protocol::Mqtt, welcoming());
    web = world.listen(o, welcoming());
    world.options.sys_interval_s = 0;
    if (prepare) prepare(this);
    world.start();
}

SimClient *Scene::make(const Hello &h) {
    clients.push_back(std::make_unique<SimClient>());
    SimClient *c = clients.back().get();
    c->world = &world;
    c->hello = h;
    return c;
}

SimClient *Scene::open(const Hello &h, Listener *l, const Addr &from) {
    SimClient *c = make(h);
    c->dial(l, from);
    c->send(connect_packet(h));
    return c;
}

SimClient *Scene::open_web(const Hello &h, const Addr &from, std::string_view host,
                           std::string_view headers) {
    SimClient *c = make(h);
    c->web_host = host;
    c->web_headers = headers;
    c->dial(web, from);
    if (c->open()) c->send(connect_packet(h));
    return c;
}

SimClient *Scene::connect(const Hello &h) {
    SimClient *c = open(h, plain, loopback_addr());
    // What comes behind the CONNACK stays for the test.
    size_t n = 2;
    if (c->peer && c->peer->inbox.size() > 1) n += static_cast<unsigned char>(c->peer->inbox[1]);
    std::vector<Got> answer = c->take(n);
    if (!answer.empty()) c->welcome = answer[0];
    return c;
}

SimClient *Scene::connect_web(const Hello &h) {
    SimClient *c = open(h, web, loopback_addr());
    std::vector<Got> answer = c->take();
    if (!answer.empty()) c->welcome = answer[0];
    return c;
}

void Scene::publish(std::string_view topic, std::string_view payload, uint8_t qos, bool retain,
                    std::string_view props) {
    if (!publisher_) {
        publisher_ = connect({.id = "pub", .version = 5});
        publisher_->acks = true;
    }
    publisher_->publish({.topic = std::string(topic), .payload = std::string(payload), .qos = qos,
                         .retain = retain, .props = std::string(props)});
    publisher_->take();
}

} // namespace sim
