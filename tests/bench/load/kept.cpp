// kept.cpp -- what a broker keeps: retained messages, and queues of sessions
// that are away.
#include "scenario.h"

#include <cstring>
#include <vector>

static double per(uint64_t from, uint64_t to, double count) {
    return (static_cast<double>(to) - static_cast<double>(from)) / count;
}

// ---- retained

// A topic each, retained/0000417/value; or in groups of ten, retained/00417/3.
static bool has_groups;

static std::string retained_topic(uint32_t n) {
    return (has_groups ? text("retained/%05u/%u", n / 10, n % 10) : text("retained/%07u/value", n)).bytes;
}

// What is kept is published by so many connections in turn, each with 16 under
// way: one alone would spend its time waiting.
static constexpr uint32_t FILLERS = 8;

// Topic of the message that filler p sends next. The fillers' numbers follow
// each other, beginning with first_filler.
static uint32_t first_filler;

static uint32_t retained_number(uint32_t filler, uint32_t sequence) {
    return sequence * FILLERS + filler - first_filler;
}

static void name_retained(Publisher *p, std::string *topic) {
    *topic = retained_topic(retained_number(p->number, p->sent));
}

// Publishes `count` retained messages with QoS 1.
static void retain_all(Flow *f, std::deque<Publisher> *publishers, std::deque<Conn> *conns, uint32_t count) {
    first_filler = static_cast<uint32_t>(f->publishers.size());
    for (uint32_t i = 0; i < FILLERS; i++) {
        Publisher *p = &publishers->emplace_back();
        p->conn = &(*conns)[i];
        p->qos = 1;
        p->is_retained = true;
        p->receivers = 0;
        p->window = 16;
        p->limit = (count + FILLERS - 1 - i) / FILLERS;
        p->name_topic = name_retained;
        flow_add(f, p);
    }
    flow_start(f);
    must(loop_until(f->loop, 300, [&] {
        uint32_t acked = 0;
        for (auto &p : *publishers) acked += p.acked;
        return acked >= count;
    }), "publishing retained messages");
}

// Empty payloads take them away.
static void retain_none(Flow *f, Conn *c, uint32_t count) {
    f->loop->on_turn = nullptr;
    for (uint32_t i = 0; i < count; i++) {
        size_t begin = packet_begin(c);
        put_publish(&c->out, {.version = f->loop->target.version, .is_retained = true}, retained_topic(i), "");
        packet_end(f->loop, c, begin);
        if (i % 1000 == 999) {
            conn_ping(f->loop, c);
            settle_acks(f->loop, 60);
        }
    }
    conn_ping(f->loop, c);
    settle_acks(f->loop, 60);
}

// Who receives retained messages: each once, none missing.
struct Collector {
    std::vector<bool> came;
    uint32_t count = 0;
    uint64_t again = 0;
    uint64_t corrupt = 0;
};
static Collector collector;

static void collect(Loop *l, Conn *, const PublishView &v) {
    auto f = static_cast<Flow *>(l->user);
    uint32_t stamp[2];
    if (v.payload.size() != f->payload_size) { collector.corrupt++; return; }
    memcpy(stamp, v.payload.data(), sizeof stamp);
    uint32_t n = retained_number(stamp[0], stamp[1]);
    if (n >= collector.came.size() || v.topic != retained_topic(n)) { collector.corrupt++; return; }
    if (collector.came[n]) { collector.again++; return; }
    collector.came[n] = true;
    collector.count++;
}

static constexpr ConnEvents COLLECTOR_EVENTS = {
    .on_live = nullptr, .on_publish = collect, .on_ack = nullptr, .on_closed = nullptr};

static void collect_begin(uint32_t count) {
    collector.came.assign(count, false);
    collector.count = 0;
}

static void collect_report(Flow *f, uint64_t missing) {
    f->account.lost += missing;
    f->account.duplicates += collector.again;
    f->account.corrupt += collector.corrupt;
}

void run_retained(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> control, readers[2];
    std::deque<Publisher> publishers;
    Probe probe;
    Flow flow;
    uint32_t count = arg_count(a, "count", 100'000);
    pid_t pid = l->target.pid;
    flow_begin(&flow, l, arg_count(a, "payload", 64));
    add_conns(l, &control, FILLERS, "connecting publishers");
    probe_open(&flow, &probe);

    Memory before = memory_settled(pid);
    uint64_t cpu = cpu_ns(pid);
    retain_all(&flow, &publishers, &control, count);
    uint64_t published = cpu_ns(pid);
    Memory after = memory_settled(pid);
    json_number(j, "bytes_per_message", per(before.anonymous, after.anonymous, count));
    json_number(j, "cpu_ns_per_retained_publish", per(cpu, published, count));

    // Twice: alone, for the cost; then with a probe, for everybody else.
    std::string filters;
    put_filter(&filters, "retained/#", static_cast<uint8_t>(arg_count(a, "qos", 0)));
    uint64_t missing = 0, peak = 0;
    for (int round = 0; round < 2; round++) {
        add_conns(l, &readers[round], 1, "connecting a reader");
        Conn *reader = &readers[round][0];
        reader->events = &COLLECTOR_EVENTS;
        collect_begin(count);
        if (round == 1) {
            probe_start(&flow, &probe, 1000);
            loop_until(l, 0.5, [] { return false; });
            json_latency(j, "latency_before_ns", flow.latency);
            histogram_clear(&flow.latency);
        }
        uint64_t start = now_ns(), looked = 0;
        cpu = cpu_ns(pid);
        conn_subscribe(l, reader, filters);
        loop_until(l, 60, [&] {
            if (round == 1 && l->now - looked > 5'000'000) {
                looked = l->now;
                uint64_t rss = rss_now(pid);
                if (rss > peak) peak = rss;
            }
            return collector.count >= count;
        });
        uint64_t took = now_ns() - start, used = cpu_ns(pid) - cpu;
        if (round == 1) loop_until(l, 0.2, [] { return false; }); // whoever was held up meanwhile
        missing += count - collector.count;
        if (round == 0) {
            json_number(j, "cpu_ns_per_message_delivered", per(0, used, count));
            json_number(j, "delivered_per_s", count / (static_cast<double>(took) / 1e9));
        } else {
            json_latency(j, "latency_meanwhile_ns", flow.latency);
        }
    }
    flow_stop(&flow, 20);
    json_number(j, "rss_growth_meanwhile_per_message", per(after.rss, peak, count));
    collect_report(&flow, missing);

    must(leave_all(l, readers[0], 30) && leave_all(l, readers[1], 30), "disconnecting");
    retain_none(&flow, &control[0], count);
    Memory end = memory_settled(pid);
    json_number(j, "rss_end_to_begin", before.rss ? static_cast<double>(end.rss) / static_cast<double>(before.rss) : 0);
    json_memory(j, "memory_before", before);
    json_memory(j, "memory_after", after);
    json_memory(j, "memory_end", end);
    flow_report(&flow, j);
}

// Subscribes to ten of very many, unsubscribes, and so on. The figure holds all
// of it: subscription, ten deliveries, unsubscription.
void run_pick(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> control, reader;
    std::deque<Publisher> publishers;
    Flow flow;
    uint32_t count = arg_count(a, "count", 1'000'000), times = arg_count(a, "times", 200);
    pid_t pid = l->target.pid;
    has_groups = true;
    flow_begin(&flow, l, arg_count(a, "payload", 64));
    add_conns(l, &control, FILLERS, "connecting publishers");
    add_conns(l, &reader, 1, "connecting the reader");
    Memory before = memory_settled(pid);
    retain_all(&flow, &publishers, &control, count);
    Memory after = memory_settled(pid);
    reader[0].events = &COLLECTOR_EVENTS;

    uint64_t missing = 0, cpu = cpu_ns(pid);
    collect_begin(count);
    for (uint32_t i = 0; i < times; i++) {
        std::string filters;
        Text filter = text("retained/%05u/+", i * (count / 10 / times));
        put_filter(&filters, filter.bytes, 0);
        conn_subscribe(l, &reader[0], filters);
        loop_until(l, 10, [&] { return l->acks_due == 0 && collector.count >= 10 * (i + 1); });
        conn_unsubscribe(l, &reader[0], filter.bytes);
        settle_acks(l, 10);
    }
    json_number(j, "cpu_us_per_subscription", per(cpu, cpu_ns(pid), times * 1e3));
    missing = 10 * times - collector.count;
    json_number(j, "bytes_per_message", per(before.anonymous, after.anonymous, count));
    collect_report(&flow, missing);
    flow_report(&flow, j);
}

// ---- sessions that are away

struct Absent {
    std::deque<Conn> conns;
    std::deque<Subscriber> subscribers;
    bool is_shared = false;      // one topic for all
};

static void absent_open(Flow *f, Absent *s, uint32_t sessions) {
    Loop *l = f->loop;
    for (uint32_t i = 0; i < sessions; i++) {
        Conn *c = &s->conns.emplace_back();
        c->index = 1'000'000 + i;
        c->is_clean = false;
    }
    must(connect_all(l, s->conns, 60), "connecting sessions");
    for (uint32_t i = 0; i < sessions; i++) {
        std::string filters;
        put_filter(&filters, s->is_shared ? "offline/all" : text("offline/%u/value", i).bytes, 1);
        conn_subscribe(l, &s->conns[i], filters);
        Subscriber *u = &s->subscribers.emplace_back();
        u->conn = &s->conns[i];
        u->first = s->is_shared ? 0 : i;
        u->streams.resize(1);
        flow_add(f, u);
    }
    settle_acks(l, 60);
    must(leave_all(l, s->conns, 60), "disconnecting sessions");
}

// A publisher for each topic, so that each subscriber's stream has a sequence
// of its own; filler k sends for every eighth of them, in turn.
struct Filler {
    Conn *conn = nullptr;
    Publisher *last = nullptr;   // of its publishers; counts all acknowledgements of the connection
    std::vector<Publisher *> publishers;
    uint64_t sent = 0, total = 0;
};

static void filler_send(Flow *f, Filler *w) {
    Conn *c = w->conn;
    Publisher *p = w->publishers[w->sent % w->publishers.size()];
    size_t begin = packet_begin(c);
    c->out.append(p->frame);
    char *frame = c->out.data() + begin;
    auto id = static_cast<unsigned>(w->sent % 65535 + 1);
    frame[p->id_at] = static_cast<char>(id >> 8);
    frame[p->id_at + 1] = static_cast<char>(id);
    uint32_t stamp[2] = {p->number, p->sent};
    memcpy(frame + p->stamp_at, stamp, sizeof stamp);
    if (f->payload_size > STAMP_SIZE) frame[p->frame.size() - 1] = static_cast<char>(p->sent);
    packet_end(f->loop, c, begin);
    p->sent++;
    w->sent++;
}

static void absent_fill(Flow *f, std::deque<Publisher> *publishers, std::deque<Conn> *conns, size_t topics, uint32_t each, bool is_shared) {
    std::vector<Filler> fillers(topics < FILLERS ? topics : FILLERS);
    for (size_t i = 0; i < topics; i++) {
        Filler *w = &fillers[i % fillers.size()];
        Publisher *p = &publishers->emplace_back();
        w->conn = p->conn = &(*conns)[i % fillers.size()];
        p->topic = is_shared ? "offline/all" : text("offline/%zu/value", i).bytes;
        p->qos = 1;
        p->is_paced = true; // sent by hand
        flow_add(f, p);
        w->publishers.push_back(p);
        w->last = p;
        w->total += each;
    }
    must(loop_until(f->loop, 300, [&] {
        bool is_done = true;
        for (auto &w : fillers) {
            while (w.sent < w.total && w.sent - w.last->acked < 16) filler_send(f, &w);
            is_done = is_done && w.last->acked >= w.total;
        }
        return is_done;
    }), "publishing to sessions that are away");
    for (auto &p : *publishers) p.acked = p.sent;
}

void run_offline(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> control;
    std::deque<Publisher> publishers;
    Absent away;
    Flow flow;
    uint32_t sessions = arg_count(a, "sessions", 1000), each = arg_count(a, "messages", 1000);
    away.is_shared = arg_text(a, "kind", "own") == "shared";
    pid_t pid = l->target.pid;
    flow_begin(&flow, l, arg_count(a, "payload", 64));
    add_conns(l, &control, FILLERS, "connecting publishers");

    double total = static_cast<double>(sessions) * each;
    Memory before = memory_settled(pid);
    absent_open(&flow, &away, sessions);
    Memory with_sessions = memory_settled(pid);
    uint64_t cpu = cpu_ns(pid);
    absent_fill(&flow, &publishers, &control, away.is_shared ? 1 : sessions, each, away.is_shared);
    json_number(j, "cpu_ns_per_message_queued", per(cpu, cpu_ns(pid), total));
    Memory with_messages = memory_settled(pid);
    json_number(j, "bytes_per_session", per(before.anonymous, with_sessions.anonymous, sessions));
    json_number(j, "bytes_per_message", per(with_sessions.anonymous, with_messages.anonymous, total));

    uint64_t start = now_ns();
    cpu = cpu_ns(pid);
    must(connect_all(l, away.conns, 60), "sessions coming back");
    loop_until(l, 60, [&] { return static_cast<double>(flow.account.delivered) >= total; });
    json_number(j, "cpu_ns_per_message_returned", per(cpu, cpu_ns(pid), total));
    json_number(j, "returned_per_s", static_cast<double>(flow.account.delivered) / (static_cast<double>(now_ns() - start) / 1e9));
    flow_stop(&flow, 5);

    // End the sessions too: connect once more, with a clean start.
    must(leave_all(l, away.conns, 60), "disconnecting");
    for (auto &c : away.conns) c.is_clean = true;
    must(connect_all(l, away.conns, 60) && leave_all(l, away.conns, 60), "ending sessions");
    Memory end = memory_settled(pid);
    json_number(j, "rss_end_to_begin", before.rss ? static_cast<double>(end.rss) / static_cast<double>(before.rss) : 0);
    json_memory(j, "memory_before", before);
    json_memory(j, "memory_with_sessions", with_sessions);
    json_memory(j, "memory_with_messages", with_messages);
    json_memory(j, "memory_end", end);
    flow_report(&flow, j);
}
