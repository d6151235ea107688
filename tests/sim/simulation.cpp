#include "sim/simulation.h"

#include "base/mem.h"
#include "broker/state.h"
#include "sim/actor.h"

namespace sim {
namespace {

const char *const TOPICS[] = {"a", "a/b", "a/c", "b", "b/c/d", "c"};
const char *const FILTERS[] = {"a", "a/b", "a/#", "+/b", "b/#", "#", "+", "a/+", "c", "b/+/d", "t/#"};

// The QoS of a share (its place here) is the same for all members, so that it
// can be told what its messages are promised. They have topics of their own,
// and no message to them is repeated by its publisher (QoS 1): so copies that
// cannot be told apart are copies of one message.
const char *const SHARES[] = {"$share/x/s", "$share/y/t/#", "$share/z/u/+"};
const char *const SHARED_TOPICS[] = {"s", "t", "t/1", "u/1"};

constexpr int ACTIONS = 90;     // below 100: see pass_time
constexpr uint64_t SLOT_MS = 10;

struct Simulation : Crowd {
    LogTrap log;
    std::unique_ptr<World> own_world = std::make_unique<World>();
    Listener *plain = nullptr, *web = nullptr;
    std::vector<Actor> actors;
    int serial = 0;             // makes payloads unique

    explicit Simulation(uint64_t seed);
    void run();

private:
    void act();
    void connect(Actor *);
    void takeover(Actor *);
    void goodbye(Actor *);
    void cut(Actor *);
    void publish(Actor *);
    void subscribe(Actor *);
    void unsubscribe(Actor *);
    void toggle_slow(Actor *);
    void pass_time(uint64_t seconds);
    void pump(bool everybody_pays);
    bool read(Actor *, size_t most);
    void lost(Actor *);
    void say_hello(Actor *, const Hello &, uint32_t expiry_s, const ModelWill &);
    void finish();
    void check_retained();
    void check_nothing_left();
};

// ---- set-up ----------------------------------------------------------------

Simulation::Simulation(uint64_t seed) {
    dice.state = seed;
    world = own_world.get();
    BrokerOptions &o = world->options;
    static const uint16_t WINDOWS[] = {1, 2, 5, 20};
    o.max_inflight_messages = dice.pick(WINDOWS);
    o.max_queued_messages = 0; // the oracle knows no drops
    o.sys_interval_s = 0;
    o.allow_duplicate_messages = !dice.one_in(3);
    o.retain_expiry_interval_s = dice.one_in(2) ? 3 : 0;
    oracle.merges = !o.allow_duplicate_messages;
    ListenerPolicy p = welcoming();
    p.max_outbox_bytes = 64 << 20;
    ListenerOptions w;
    w.protocol = Protocol::WebSockets;
    w.port = 9001;
    plain = world->listen(Protocol::Mqtt, p);
    web = world->listen(w, p);
    world->now_ms = 1'000'005; // see pass_time
    world->start();
    oracle.now_ms = world->now_ms;
    actors.resize(2 + dice.below(4));
    for (size_t i = 0; i < actors.size(); i++) {
        actors[i].crowd = this;
        actors[i].id = std::string(1, static_cast<char>('A' + i));
    }
}

// ---- the network -----------------------------------------------------------

// Reads what has come, `most` bytes of it. True if there was any packet.
bool Simulation::read(Actor *a, size_t most) {
    std::vector<Got> all = a->client->take(most);
    if (!a->client->fault.empty()) throw Broken(a->id + ": " + a->client->fault);
    for (const Got &g : all) a->on_packet(g);
    return !all.empty();
}

// Everybody reads and answers until nothing moves any more.
void Simulation::pump(bool everybody_pays) {
    for (bool moved = true; moved;) {
        moved = false;
        for (Actor &a : actors) {
            if (!a.connected) continue;
            moved |= read(&a, SIZE_MAX);
            if (!a.client->open()) throw Broken(a.id + ": closed by the broker\n" + log.lines);
            if (everybody_pays || !a.is_late) moved |= a.pay();
        }
    }
}

// The connection is no more; the actor knows it too.
void Simulation::lost(Actor *a) {
    a->connected = false;
    a->owed.clear();
    a->holding.clear();
    a->subscribing.clear();
    a->aliases.clear();
}

void Simulation::cut(Actor *a) {
    // Something may be half on its way to the broker ...
    if (dice.one_in(2)) publish(a);
    std::vector<Outgoing> all;
    all.swap(a->owed);
    size_t most = dice.below(wire_size(a, all) + 1);
    transmit_cut(a, all, most);
    // ... and something half on its way from it.
    if (dice.one_in(2)) read(a, dice.below(a->client->peer->inbox.size() + 1));
    note(a, "is cut after " + std::to_string(most) + " bytes");
    if (dice.one_in(2)) world->reset(a->client->peer);
    else world->finish(a->client->peer);
    oracle.lose(a->id);
    lost(a);
    world->settle();
}

void Simulation::toggle_slow(Actor *a) {
    ModelSession &s = oracle.at(a->id);
    s.slow = !s.slow;
    note(a, s.slow ? "stops reading" : "reads again");
    if (s.slow) {
        a->was_slow = true;
        world->stop_reading(a->client->peer, dice.below(300));
    } else {
        world->resume_reading(a->client->peer);
    }
    world->settle();
}

// Every action has a hundredth of a second of its own, whatever second: no two
// timers that they start can fall due together, and the wheel's tick does not
// change their order.
void Simulation::pass_time(uint64_t seconds) {
    uint64_t ms = seconds * 1000 + SLOT_MS;
    std::vector<std::string> silent = oracle.advance(world->now_ms + ms);
    world->advance(ms);
    for (const std::string &id : silent)
        for (Actor &a : actors) {
            if (a.id != id) continue;
            note(&a, "falls silent");
            if (a.client->open() && !a.was_slow) throw Broken(id + " outlived its keep-alive");
            lost(&a);
        }
}

// ---- connecting ------------------------------------------------------------

void Simulation::say_hello(Actor *a, const Hello &h, uint32_t expiry_s, const ModelWill &w) {
    a->client = std::make_unique<SimClient>();
    SimClient *c = a->client.get();
    c->world = world;
    c->hello = h;
    c->dial(dice.one_in(3) ? web : plain, loopback_addr());
    Arrival arrival = {h.id, h.clean, expiry_s, h.keep_alive_s, w};
    bool present = oracle.connect(arrival);
    c->send(connect_packet(h));
    a->connected = true;
    a->resumed = present;
    a->was_slow = false;
    std::vector<Got> answer;
    // Little more than the CONNACK; the rest is read by whoever reads.
    while (answer.empty() && !c->peer->inbox.empty()) answer = c->take(16);
    if (answer.empty() || answer[0].type != CONNACK || answer[0].code)
        throw Broken(a->id + ": no CONNACK\n" + log.lines);
    if (answer[0].present != (present && h.version != 3)) throw Broken(a->id + ": Session Present");
    note(a, present ? "is resumed" : "is new");
    if (!present) a->forget();
    a->alias_maximum = answer[0].alias_maximum;
    a->quota = std::min<uint16_t>(answer[0].receive_maximum, world->options.max_inflight_messages);
    a->resend();
    for (size_t i = 1; i < answer.size(); i++) a->on_packet(answer[i]); // of the same frame
}

void Simulation::connect(Actor *a) {
    static const uint32_t EXPIRIES[] = {0, 3, 30, UINT32_MAX};
    static const uint16_t MAXIMA[] = {1, 2, 5, 65535};
    static const uint16_t ALIVE[] = {0, 0, 10, 20};
    static const uint32_t DELAYS[] = {0, 2, 15};
    Hello h;
    h.id = a->id;
    h.version = static_cast<int>(3 + dice.below(3));
    h.clean = dice.one_in(4);
    h.keep_alive_s = dice.pick(ALIVE);
    uint32_t expiry_s = h.clean ? 0 : UINT32_MAX;
    a->window = world->options.max_inflight_messages;
    if (h.version == 5) {
        expiry_s = dice.pick(EXPIRIES);
        uint16_t most = dice.pick(MAXIMA);
        a->window = std::min(a->window, most);
        h.props = session_expiry(expiry_s) + receive_maximum(most) + prop_u16(0x22, dice.below(4));
    }
    ModelWill w;
    if (dice.one_in(3)) {
        w.topic = dice.pick(TOPICS);
        w.payload = "will" + std::to_string(++serial);
        w.qos = static_cast<uint8_t>(dice.below(3));
        w.retain = dice.one_in(3);
        if (h.version == 5) w.delay_s = dice.pick(DELAYS);
        h.will_topic = w.topic;
        h.will_payload = w.payload;
        h.will_qos = w.qos;
        h.will_retain = w.retain;
        if (w.delay_s) h.will_props = will_delay(w.delay_s);
    }
    note(a, "connects v" + std::to_string(h.version) + (h.clean ? " clean" : "") + " expiry " +
                std::to_string(expiry_s) + (w.topic.empty() ? "" : " will " + w.payload));
    a->is_late = dice.one_in(3);
    say_hello(a, h, expiry_s, w);
}

// The same id from a second connection; the first may not have read it all.
void Simulation::takeover(Actor *a) {
    if (dice.one_in(2)) read(a, dice.below(a->client->peer->inbox.size() + 1));
    bool was_slow = oracle.at(a->id).slow;
    std::unique_ptr<SimClient> old = std::move(a->client);
    lost(a);
    connect(a);
    std::vector<Got> rest = old->take();
    if (!was_slow && !old->peer->ended) throw Broken(a->id + ": the old connection is open");
    bool told = !rest.empty() && rest.back().type == DISCONNECT && rest.back().code == 0x8e;
    if (!was_slow && told != (old->hello.version == 5)) throw Broken(a->id + ": takeover, 0x8E");
}

void Simulation::goodbye(Actor *a) {
    ModelSession &s = oracle.at(a->id);
    uint32_t expiry_s = s.expiry_s;
    unsigned code = 0;
    std::string props;
    if (a->version() == 5 && dice.one_in(3)) code = 0x04;
    if (a->version() == 5 && expiry_s && dice.one_in(4)) {
        expiry_s = static_cast<uint32_t>(dice.below(3) * 5);
        props = session_expiry(expiry_s);
    }
    note(a, "says goodbye, code " + std::to_string(code) + ", expiry " + std::to_string(expiry_s));
    a->client->disconnect(code, props);
    if (a->client->open() && !a->was_slow) throw Broken(a->id + ": open after DISCONNECT");
    oracle.leave(a->id, code == 0x04, expiry_s);
    lost(a);
}

// ---- messages --------------------------------------------------------------

void Simulation::publish(Actor *a) {
    Note n;
    bool shared = dice.one_in(3);
    n.topic = shared ? dice.pick(SHARED_TOPICS) : dice.pick(TOPICS);
    n.payload = a->id + std::to_string(++serial);
    if (dice.one_in(15)) n.payload += std::string(3000, '.');
    n.qos = static_cast<uint8_t>(shared ? dice.below(2) * 2 : dice.below(3));
    n.retain = dice.one_in(4);
    if (n.retain && !shared && dice.one_in(4)) n.payload.clear();
    // A repeated QoS 1 message would be another one with a later expiry.
    if (n.qos != 1 && !n.payload.empty() && dice.one_in(5)) n.props = message_expiry(1 + dice.below(4) * 5);
    note(a, "publishes " + n.topic + "=" + n.payload.substr(0, 12) + " q" + std::to_string(n.qos) +
                (n.retain ? " retain" : "") + (n.props.empty() ? "" : " expiring"));
    a->publish(n);
}

void Simulation::subscribe(Actor *a) {
    bool shared = dice.one_in(3);
    size_t share = dice.one_in(2) ? 1 : dice.below(std::size(SHARES)); // that one moves on
    std::string filter = shared ? SHARES[share] : dice.pick(FILTERS);
    Subscription o;
    o.qos = static_cast<uint8_t>(shared ? share : dice.below(3));
    int handling = 0;
    unsigned bits = o.qos;
    std::string props;
    if (a->version() == 5) {
        o.no_local = !shared && dice.one_in(3);
        o.retain_as_published = !shared && dice.one_in(3);
        handling = static_cast<int>(dice.below(3));
        if (dice.one_in(2)) o.id = static_cast<uint32_t>(1 + dice.below(5));
        if (o.id) props = prop_varint(0x0b, o.id);
        bits |= (o.no_local ? 4u : 0u) | (o.retain_as_published ? 8u : 0u) |
                static_cast<unsigned>(handling) << 4;
    }
    if (shared) o.id = 0; // see Oracle: not told apart
    if (shared) props.clear();
    uint16_t id = a->new_id();
    std::string body = sim_u16(id);
    if (a->version() == 5) body += sim_varint(props.size()) + props;
    body += sim_text(filter) + static_cast<char>(bits);
    note(a, "subscribes to " + filter + " q" + std::to_string(o.qos) + " id " + std::to_string(o.id) +
                (o.no_local ? " no local" : "") + (o.retain_as_published ? " as published" : ""));
    a->subscribing[id] = o.qos;
    a->owed.push_back({sim_packet(0x82, body), [this, a, filter, o, handling] {
                           oracle.heard(a->id);
                           oracle.subscribe(a->id, filter, o, handling);
                       }});
}

void Simulation::unsubscribe(Actor *a) {
    const ModelSession &s = oracle.at(a->id);
    std::vector<std::string> all;
    for (const auto &[filter, o] : s.subs) all.push_back(filter);
    for (const auto &[filter, o] : s.shares) all.push_back(filter);
    if (all.empty()) return;
    std::string filter = all[dice.below(all.size())];
    uint16_t id = a->new_id();
    std::string body = sim_u16(id);
    if (a->version() == 5) body += '\0';
    note(a, "unsubscribes from " + filter);
    a->owed.push_back({sim_packet(0xa2, body + sim_text(filter)), [this, a, filter] {
                           oracle.heard(a->id);
                           oracle.unsubscribe(a->id, filter);
                       }});
}

// ---- a schedule ------------------------------------------------------------

void Simulation::act() {
    Actor *a = &actors[dice.below(actors.size())];
    uint64_t what = dice.below(40);
    if (!a->connected) {
        if (what < 30) connect(a);
    } else if (what < 18) {
        for (uint64_t n = 1 + dice.below(3); n; n--) publish(a);
    } else if (what < 26) {
        subscribe(a);
    } else if (what < 28) {
        unsubscribe(a);
    } else if (what < 30) {
        toggle_slow(a);
    } else if (what < 34) {
        cut(a);
    } else if (what < 35) {
        takeover(a);
    } else if (what < 36) {
        goodbye(a);
    } else {
        a->pay(); // even if it is late
    }
    // What was decided is sent at once, unless it waits for others' packets.
    if (a->connected && !(a->is_late && dice.one_in(3))) a->pay();
    pump(false);
}

// All come back or stay, read everything, and owe nothing.
void Simulation::finish() {
    note(nullptr, "the end");
    for (Actor &a : actors) {
        if (a.connected && oracle.at(a.id).slow) toggle_slow(&a);
        if (a.connected || !oracle.exists(a.id)) continue;
        Hello h;
        h.id = a.id;
        h.version = 5;
        h.clean = false;
        h.props = session_expiry(1000);
        a.window = world->options.max_inflight_messages;
        note(&a, "comes back");
        say_hello(&a, h, 1000, {});
    }
    pump(true);
    for (const Actor &a : actors)
        if (a.connected && !a.out.empty()) throw Broken(a.id + ": its publish was not completed");
    oracle.check_end();
}

void Simulation::check_retained() {
    SimClient c;
    c.world = world;
    c.hello.id = "auditor";
    c.acks = true;
    c.dial(plain, loopback_addr());
    c.send(connect_packet(c.hello));
    c.subscribe("#", 2);
    std::map<std::string, std::string> found;
    for (const Got &g : c.take())
        if (g.type == PUBLISH) found[g.topic] = g.payload;
    if (found != oracle.retained()) throw Broken("the retained messages are others");
    c.disconnect();
}

// With every session ended, only retained messages are left.
void Simulation::check_nothing_left() {
    for (Actor &a : actors) {
        if (!a.connected) continue;
        a.client->send(connect_packet(a.client->hello)); // a second one: it is thrown out
        lost(&a);
    }
    for (Actor &a : actors) {
        SimClient c;
        c.world = world;
        c.hello.id = a.id;
        c.dial(plain, loopback_addr());
        c.send(connect_packet(c.hello)); // clean: ends what there was
        c.disconnect();
    }
    world->advance(30'000);
    Broker *b = world->broker;
    if (b->sessions.size()) throw Broken("sessions are left");
    if (router_stats(b->router).filters) throw Broken("filters are left");
    if (b->messages.count != retained_count(b->retained)) throw Broken("messages are left");
    if (b->stats.publish_dropped) throw Broken("messages were dropped");
}

void Simulation::run() {
    for (int i = 0; i < ACTIONS; i++) {
        act();
        pass_time(dice.one_in(4) ? dice.below(12) : 0);
        pump(false);
    }
    finish();
    check_retained();
    check_nothing_left();
}

} // namespace

SimulationResult simulate(uint64_t seed, Trace trace) {
    SimulationResult result;
    size_t before = mem_used();
    {
        Simulation s(seed);
        s.traces = trace == Trace::On;
        try {
            s.run();
        } catch (const std::exception &e) {
            result.failure = e.what();
        }
        result.trace = std::move(s.trace);
        result.actions = ACTIONS;
        result.received = s.received;
    }
    if (result.failure.empty() && mem_used() != before)
        result.failure = std::to_string(mem_used() - before) + " bytes have leaked";
    return result;
}

} // namespace sim
