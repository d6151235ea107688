#include "base/mem.h"
#include "seq/backend.h"
#include "seq/options.h"
#include "sim/world.h"

namespace seq {
namespace {

struct SimBackend : Backend {
    size_t memory_before = mem_used();
    std::unique_ptr<World> world = std::make_unique<World>();
    Listener *plain = nullptr, *web = nullptr;
    std::vector<Peer *> peers;
    ListenerOptions listener;

    explicit SimBackend(const Case &c) {
        ListenerPolicy policy;
        for (const auto &[name, value] : c.options)
            option_apply({world.get(), &policy, &listener}, name, value);
        plain = world->listen(Protocol::Mqtt, policy);
        if (listener.max_connections >= 0) {
            ListenerOptions o = plain->options;
            o.max_connections = listener.max_connections;
            listener_change(plain, o);
        }
        listener.protocol = Protocol::WebSockets;
        listener.port = 9001;
        web = world->listen(listener, policy);
        world->start();
    }

    int open(bool over_web) override {
        Peer *p = world->connect(over_web ? web : plain);
        world->settle();
        if (!p) return -1;
        peers.push_back(p);
        return static_cast<int>(peers.size() - 1);
    }
    Peer *at(int channel) { return peers[static_cast<size_t>(channel)]; }
    void send(int channel, std::string_view bytes) override {
        if (at(channel)->ended) return; // the broker has gone: a lost write
        world->send(at(channel), bytes);
        world->settle();
    }
    void finish(int channel) override {
        world->finish(at(channel));
        world->settle();
    }
    void reset(int channel) override {
        world->reset(at(channel));
        world->settle();
    }
    void stop(int channel) override { world->stop_reading(at(channel)); }
    void resume(int channel) override {
        world->resume_reading(at(channel));
        world->settle();
    }
    std::string &inbox(int channel) override { return at(channel)->inbox; }
    bool ended(int channel) override { return at(channel)->ended; }
    bool more() override { return false; } // a settled world has no more to say
    void pass(unsigned long ms) override { world->advance(ms); }
    void shutdown() override {
        broker_stop(world->broker);
        world->settle();
    }
    bool real() const override { return false; }
    std::string host() const override { return "localhost"; }

    // Nothing may be left of the connections, nor of the memory.
    std::string end() override {
        for (Peer *p : peers) {
            world->resume_reading(p);
            if (!p->finished) world->finish(p);
        }
        world->settle();
        world->advance(20'000); // whoever lingers has gone by then
        std::string fault;
        for (Peer *p : peers)
            if (!world->gone(p)) fault = "a connection that both sides have ended still exists";
        vec_free(&world->options.clientid_prefixes);
        world.reset();
        vec_free(&listener.websockets_origins);
        if (fault.empty() && mem_used() != memory_before)
            fault = "the broker leaves " + std::to_string(mem_used() - memory_before) +
                    " bytes behind";
        return fault;
    }
};

} // namespace

std::unique_ptr<Backend> sim_backend(const Case &c) { return std::make_unique<SimBackend>(c); }

} // namespace seq
