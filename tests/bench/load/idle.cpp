// idle.cpp -- connections that do nothing, and connections that come and go.
#include "scenario.h"

void run_idle(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> conns, first;
    Flow flow;
    uint32_t count = arg_count(a, "count", 10'000);
    pid_t pid = l->target.pid;
    flow_begin(&flow, l, 64);
    add_conns(l, &first, 1, "connecting the first"); // what the first one allocates is not the others'
    Memory before = memory_settled(pid);
    uint64_t cpu = cpu_ns(pid);
    add_conns(l, &conns, count, "connecting");
    uint64_t connected = cpu_ns(pid);
    if (arg_count(a, "subscribe", 0)) {
        for (auto &c : conns) {
            std::string filters;
            put_filter(&filters, text("home/%07u/temperature", c.index).bytes, 0);
            conn_subscribe(l, &c, filters);
        }
        settle_acks(l, 60);
    }
    Memory after = memory_settled(pid);
    uint64_t begin = now_ns(), idle = cpu_ns(pid);
    loop_until(l, 1, [] { return false; });
    double busy = static_cast<double>(cpu_ns(pid) - idle) / static_cast<double>(now_ns() - begin);
    must(leave_all(l, conns, 60), "disconnecting");
    Memory end = memory_settled(pid);

    auto each = [&](uint64_t x, uint64_t y) { return (static_cast<double>(y) - static_cast<double>(x)) / count; };
    json_number(j, "bytes_each", each(before.anonymous, after.anonymous));
    json_number(j, "rss_bytes_each", each(before.rss, after.rss));
    json_number(j, "private_dirty_bytes_each", each(before.private_dirty, after.private_dirty));
    json_number(j, "cpu_ns_per_connect", each(cpu, connected));
    json_number(j, "cpu_share_while_idle", busy);
    json_number(j, "rss_end_to_begin", before.rss ? static_cast<double>(end.rss) / static_cast<double>(before.rss) : 0);
    json_memory(j, "memory_before", before);
    json_memory(j, "memory_after", after);
    json_memory(j, "memory_end", end);
    flow_report(&flow, j);
}

// A storm: each connection is opened again as soon as the broker has closed it.
struct Storm {
    uint64_t left = 0;           // to be opened
    uint64_t done = 0;
};

static void storm_on_live(Loop *l, Conn *c) { conn_leave(l, c); }

static void storm_on_closed(Loop *l, Conn *c) {
    auto s = static_cast<Storm *>(l->user);
    s->done++;
    if (s->left == 0) return;
    s->left--;
    c->index += 65; // another source address, another client id
    conn_open(l, c);
}

static constexpr ConnEvents STORM_EVENTS = {
    .on_live = storm_on_live, .on_publish = nullptr, .on_ack = nullptr, .on_closed = storm_on_closed};

void run_storm(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> conns(arg_count(a, "window", 32));
    Storm storm;
    Flow flow;
    uint64_t count = arg_count(a, "count", 20'000);
    pid_t pid = l->target.pid;
    flow_begin(&flow, l, 64);
    l->on_turn = nullptr;
    l->user = &storm;
    storm.left = count > conns.size() ? count - conns.size() : 0;

    Memory before = memory_settled(pid);
    uint64_t begin = now_ns(), cpu = cpu_ns(pid);
    for (uint32_t i = 0; i < conns.size(); i++) {
        conns[i].events = &STORM_EVENTS;
        conns[i].index = i;
        conn_open(l, &conns[i]);
    }
    must(loop_until(l, 120, [&] { return storm.done >= count; }), "storm");
    uint64_t used = cpu_ns(pid) - cpu, took = now_ns() - begin;
    Memory end = memory_settled(pid);
    auto times = static_cast<double>(storm.done);
    json_number(j, "cycles", times);
    json_number(j, "cpu_us_per_cycle", static_cast<double>(used) / times / 1e3);
    json_number(j, "cycles_per_s", times / static_cast<double>(took) * 1e9);
    json_memory(j, "memory_before", before);
    json_memory(j, "memory_end", end);
    flow_report(&flow, j);
}
