#include "sim/actor.h"

namespace sim {

static void broken(const Actor *a, const std::string &what) { throw Broken(a->id + ": " + what); }

uint16_t Actor::new_id() {
    auto in_use = [this](uint16_t n) {
        for (const Stage_ &s : out)
            if (s.note.id == n) return true;
        return n == 0;
    };
    while (in_use(next_id)) next_id++;
    return next_id++;
}

void Actor::forget() {
    out.clear();
    unacked.clear();
    open2.clear();
}

// ---- receiving -------------------------------------------------------------

void Actor::owe(SimType type, uint16_t packet_id) {
    std::string body = sim_u16(packet_id);
    Outgoing o;
    o.bytes = sim_packet(unsigned{type} << 4 | (type == PUBREL ? 2u : 0u), body);
    o.handled = [this, type, packet_id] {
        crowd->oracle.heard(id);
        if (crowd->traces) crowd->note(this, "acknowledges " + std::to_string(packet_id));
        if (type == PUBACK) unacked.erase(packet_id);
        if (type == PUBACK || type == PUBCOMP) holding.erase(packet_id);
        if (type == PUBREL) crowd->oracle.at(id).received.erase(packet_id);
    };
    owed.push_back(o);
}

void Actor::first_time(const Got &g) {
    if (g.dup() && !resumed) broken(this, "DUP without a reconnect: " + describe(g));
    bool reused = g.qos() && (unacked.count(g.id) || open2.count(g.id));
    if (reused) broken(this, "an id that is in use: " + describe(g));
    Receipt r;
    r.topic = g.topic;
    r.payload = g.payload;
    r.qos = static_cast<uint8_t>(g.qos());
    r.retain = g.retain();
    r.dup = g.dup() || was_slow;
    r.expiry_s = g.expiry_s;
    r.ids = g.sub_ids;
    r.has_props = version() == 5;
    std::sort(r.ids.begin(), r.ids.end());
    crowd->received++;
    crowd->oracle.received(id, r);
}

void Actor::on_publish(const Got &g) {
    if (g.qos() == 0) return first_time(g);
    auto &known = g.qos() == 1 ? unacked : open2;
    auto before = known.find(g.id);
    bool again = g.dup() && before != known.end();
    if (again && before->second != g.payload) broken(this, "DUP with another payload: " + describe(g));
    if (!again) first_time(g);
    known[g.id] = g.payload;
    holding.insert(g.id);
    if (holding.size() > window) broken(this, "Receive Maximum exceeded by " + describe(g));
    owe(g.qos() == 1 ? PUBACK : PUBREC, g.id);
}

void Actor::on_own_ack(const Got &g) {
    for (size_t i = 0; i < out.size(); i++) {
        Stage_ &s = out[i];
        if (s.note.id != g.id) continue;
        bool two = s.note.qos == 2;
        if (two != (g.type != PUBACK) || (g.type == PUBCOMP && !s.released)) break;
        if (g.type == PUBREC) {
            s.released = true;
            return owe(PUBREL, g.id);
        }
        uint8_t code = g.type == PUBACK && version() == 5 && !s.matches ? 0x10 : 0;
        if (g.code != code) broken(this, "another reason was due: " + describe(g));
        out.erase(out.begin() + static_cast<long>(i));
        return;
    }
    broken(this, "nobody waits for " + describe(g));
}

void Actor::on_packet(const Got &g) {
    if (crowd->traces) crowd->note(this, "gets " + describe(g));
    switch (g.type) {
    case PUBLISH: return on_publish(g);
    case PUBACK: case PUBREC: case PUBCOMP: return on_own_ack(g);
    case PUBREL:
        open2.erase(g.id);
        return owe(PUBCOMP, g.id);
    case SUBACK: {
        auto asked = subscribing.find(g.id);
        if (asked == subscribing.end()) broken(this, "nobody waits for " + describe(g));
        if (g.codes != std::string(1, static_cast<char>(asked->second))) broken(this, describe(g));
        subscribing.erase(asked);
        return;
    }
    case UNSUBACK: case PINGRESP: return;
    default: broken(this, "did not expect " + describe(g));
    }
}

// ---- sending ---------------------------------------------------------------

bool Actor::pay() {
    std::vector<Outgoing> all;
    all.swap(owed);
    if (all.empty() || !connected) return false;
    crowd->transmit(this, all);
    return true;
}

// What the oracle is told when the broker has this PUBLISH.
static void tell(Actor *a, const Note &n, const std::string &topic, uint32_t expiry_s) {
    Oracle &oracle = a->crowd->oracle;
    oracle.heard(a->id);
    if (a->crowd->traces) a->crowd->note(a, "has sent " + topic + "=" + n.payload.substr(0, 12));
    if (n.qos == 2 && !oracle.at(a->id).received.insert(n.id).second) return; // [MQTT-4.3.3-10]
    Published p;
    p.source = a->id;
    p.topic = topic;
    p.payload = n.payload;
    p.qos = n.qos;
    p.retain = n.retain;
    p.expiry_s = expiry_s;
    bool any = oracle.publish(p);
    for (Stage_ &s : a->out)
        if (n.qos && s.note.id == n.id) s.matches = any;
}

static Outgoing outgoing(Actor *a, const Note &wire, const std::string &topic, uint32_t expiry_s) {
    return {publish_packet(wire, a->version()),
            [a, wire, topic, expiry_s] { tell(a, wire, topic, expiry_s); }};
}

static uint32_t expiry_of(const Note &n) {
    if (n.props.size() < 5) return 0;
    uint32_t v = 0;
    for (int i = 1; i <= 4; i++) v = v << 8 | static_cast<unsigned char>(n.props[static_cast<size_t>(i)]);
    return v;
}

// A message with an alias now and then; what is repeated goes without.
void Actor::publish(Note n) {
    if (n.qos && out.size() >= quota) return;
    if (version() != 5) n.props.clear();
    if (n.qos) n.id = new_id();
    if (n.qos) out.push_back({n});
    Note wire = n;
    if (version() == 5 && alias_maximum && crowd->dice.one_in(2)) {
        aliases.resize(alias_maximum);
        size_t i = crowd->dice.below(alias_maximum);
        if (aliases[i] == n.topic) wire.topic.clear();
        aliases[i] = n.topic;
        wire.props += prop_u16(0x23, i + 1);
    }
    owed.push_back(outgoing(this, wire, n.topic, expiry_of(n)));
}

void Actor::resend() {
    for (const Stage_ &s : out) {
        if (s.released) {
            owe(PUBREL, s.note.id);
            continue;
        }
        Note again = s.note;
        again.dup = true;
        if (version() != 5) again.props.clear();
        owed.push_back(outgoing(this, again, again.topic, expiry_of(again)));
    }
}

// ---- the wire --------------------------------------------------------------

static std::string joined(const std::vector<Outgoing> &all) {
    std::string bytes;
    for (const Outgoing &o : all) bytes += o.bytes;
    return bytes;
}

size_t Crowd::wire_size(Actor *a, const std::vector<Outgoing> &all) {
    return a->client->framed(joined(all)).size();
}

void Crowd::transmit_cut(Actor *a, const std::vector<Outgoing> &all, size_t most) {
    std::string bytes = joined(all), wire = a->client->framed(bytes);
    size_t head = wire.size() - bytes.size(); // of the WebSocket frame
    size_t whole = 0;
    for (const Outgoing &o : all) {
        whole += o.bytes.size();
        if (head + whole <= most && o.handled) o.handled();
    }
    wire.resize(std::min(most, wire.size()));
    // In two pieces, so that packets have to be put together.
    size_t piece = wire.empty() ? 0 : dice.below(wire.size() + 1);
    world->send(a->client->peer, std::string_view(wire).substr(0, piece));
    if (dice.one_in(3)) world->settle();
    if (a->client->open()) world->send(a->client->peer, std::string_view(wire).substr(piece));
    world->settle();
}

void Crowd::transmit(Actor *a, const std::vector<Outgoing> &all) { transmit_cut(a, all, SIZE_MAX); }

} // namespace sim
