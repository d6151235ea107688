// traffic.cpp -- fan-out, fan-in, pairs, and a slow reader among fast ones.
#include "scenario.h"

// What every traffic scenario is made of.
struct Cast {
    std::deque<Conn> pub_conns, sub_conns;
    std::deque<Publisher> publishers;
    std::deque<Subscriber> subscribers;
    Flow flow;
};

static void cast_open(const Args *a, Loop *l, Cast *t, size_t pubs, size_t subs) {
    flow_begin(&t->flow, l, arg_count(a, "payload", 64));
    add_conns(l, &t->sub_conns, subs, "connecting subscribers");
    add_conns(l, &t->pub_conns, pubs, "connecting publishers");
    for (auto &c : t->sub_conns) t->subscribers.emplace_back().conn = &c;
    for (auto &c : t->pub_conns) t->publishers.emplace_back().conn = &c;
}

static void cast_publisher(const Args *a, Cast *t, Publisher *p, const Text &topic, size_t receivers) {
    p->topic = topic.bytes;
    p->qos = static_cast<uint8_t>(arg_count(a, "qos", 0));
    p->window = arg_count(a, "window", 1);
    p->receivers = static_cast<uint32_t>(receivers);
    p->is_paced = arg_number(a, "rate", 0) > 0;
    flow_add(&t->flow, p);
}

static void cast_subscribe(const Args *a, Cast *t, Subscriber *s, const Text &filter, size_t first, size_t streams) {
    std::string filters;
    put_filter(&filters, filter.bytes, static_cast<uint8_t>(arg_count(a, "qos", 0)));
    s->first = static_cast<uint32_t>(first);
    s->streams.resize(streams);
    flow_add(&t->flow, s);
    conn_subscribe(t->flow.loop, s->conn, filters);
}

static void start(const Args *a, Flow *f) {
    double rate = arg_number(a, "rate", 0);
    if (rate <= 0) return flow_start(f);
    f->pacer.publishers = f->publishers;
    flow_pace(f, rate);
}

// Warms up, measures for --seconds, stops and checks.
static void cast_play(const Args *a, Cast *t, Json *j) {
    Flow *f = &t->flow;
    double seconds = arg_number(a, "seconds", 2);
    settle_acks(f->loop, 60);
    start(a, f);
    loop_until(f->loop, arg_number(a, "warmup", 0.5), [] { return false; });
    histogram_clear(&f->latency);
    Mark begin = flow_mark(f);
    loop_until(f->loop, seconds, [] { return false; });
    Mark end = flow_mark(f);
    json_latency(j, "latency_ns", f->latency);
    flow_stop(f, 20);
    mark_report(begin, end, j);
    flow_report(f, j);
}

void run_fanout(const Args *a, Loop *l, Json *j) {
    Cast t;
    size_t subs = arg_count(a, "subs", 1000);
    cast_open(a, l, &t, 1, subs);
    cast_publisher(a, &t, &t.publishers[0], text("fanout/one"), subs);
    for (auto &s : t.subscribers) cast_subscribe(a, &t, &s, text("fanout/one"), 0, 1);
    cast_play(a, &t, j);
}

void run_fanin(const Args *a, Loop *l, Json *j) {
    Cast t;
    size_t pubs = arg_count(a, "pubs", 1000);
    cast_open(a, l, &t, pubs, 1);
    for (auto &p : t.publishers) cast_publisher(a, &t, &p, text("fanin/%zu", t.flow.publishers.size()), 1);
    cast_subscribe(a, &t, &t.subscribers[0], text("fanin/#"), 0, pubs);
    cast_play(a, &t, j);
}

void run_pairs(const Args *a, Loop *l, Json *j) {
    Cast t;
    size_t pairs = arg_count(a, "pairs", 500);
    cast_open(a, l, &t, pairs, pairs);
    for (size_t i = 0; i < pairs; i++) {
        Text topic = text("pairs/%zu", i);
        cast_publisher(a, &t, &t.publishers[i], topic, 1);
        cast_subscribe(a, &t, &t.subscribers[i], topic, i, 1);
    }
    cast_play(a, &t, j);
}

static void report_phase(const Flow *f, const Mark &begin, const Mark &end, const char *name, Json *j) {
    Json phase;
    mark_report(begin, end, &phase);
    json_latency(&phase, "latency_ns", f->latency);
    json_object(j, name, phase);
}

// The same load twice: all read, then one does not. It is no part of the
// window in either half, so what it costs the others shows. Afterwards it
// reads on: what it still gets is neither counted nor checked for gaps.
void run_slow(const Args *a, Loop *l, Json *j) {
    Cast t;
    size_t subs = arg_count(a, "subs", 100);
    double seconds = arg_number(a, "seconds", 2);
    cast_open(a, l, &t, 1, subs + 1);
    Flow *f = &t.flow;
    cast_publisher(a, &t, &t.publishers[0], text("slow/one"), subs);
    for (auto &s : t.subscribers) cast_subscribe(a, &t, &s, text("slow/one"), 0, 1);
    Subscriber *slow = &t.subscribers[subs];
    slow->is_counted = false;
    settle_acks(l, 60);
    Memory before = memory_now(l->target.pid);

    start(a, f);
    loop_until(l, arg_number(a, "warmup", 0.5), [] { return false; });
    histogram_clear(&f->latency);
    Mark marks[2] = {flow_mark(f), {}};
    loop_until(l, seconds, [] { return false; });
    marks[1] = flow_mark(f);
    report_phase(f, marks[0], marks[1], "all_read", j);

    conn_deafen(l, slow->conn, true);
    histogram_clear(&f->latency);
    uint64_t peak = 0;
    marks[0] = flow_mark(f);
    loop_until(l, seconds, [&] {
        static uint64_t next = 0;
        if (l->now > next) {
            uint64_t rss = rss_now(l->target.pid);
            if (rss > peak) peak = rss;
            next = l->now + 20'000'000;
        }
        return false;
    });
    marks[1] = flow_mark(f);
    report_phase(f, marks[0], marks[1], "one_deaf", j);
    json_number(j, "peak_rss", static_cast<double>(peak));
    json_memory(j, "memory_before", before);

    uint64_t sent = t.publishers[0].sent;
    conn_deafen(l, slow->conn, false);
    flow_stop(f, 20);
    loop_until(l, 1, [] { return false; });
    json_number(j, "slow_received", static_cast<double>(f->account.uncounted));
    json_number(j, "slow_missed", static_cast<double>(sent) - static_cast<double>(f->account.uncounted));
    json_bool(j, "slow_is_connected", slow->conn->stage == Stage::Live);
    if (slow->conn->stage == Stage::Closed) l->faults.closed--; // allowed: past its limit it may be cut off
    json_memory(j, "memory_after", memory_settled(l->target.pid));
    flow_report(f, j);
}
