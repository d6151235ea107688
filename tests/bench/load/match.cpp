// match.cpp -- what a publish costs among very many subscriptions.
#include "scenario.h"

#include <cstdio>

static constexpr size_t FILTERS_PER_PACKET = 100;

// How the subscriptions relate to the topics.
enum class Kind {
    Own,   // a topic each: nobody else subscribes to it
    Exact, // three clients hold the same filter
    Wild   // three clients: one exact filter, two with a wildcard
};

static Kind kind_of(const std::string &name) {
    return name == "own" ? Kind::Own : name == "wild" ? Kind::Wild : Kind::Exact;
}

static uint32_t topics;  // how many there are
static uint32_t matches; // subscriptions to each

static Text match_topic(uint32_t n) { return text("home/%07u/temperature", n); }

static Text match_filter(uint32_t n, unsigned which, Kind kind) {
    if (kind == Kind::Wild && which == 1) return text("+/%07u/temperature", n);
    if (kind == Kind::Wild && which == 2) return text("home/%07u/#", n);
    return match_topic(n);
}

static void random_topic(Publisher *p, std::string *topic) {
    static Loop chance;
    (void)p;
    topic->assign(match_topic(loop_random(&chance) % topics).bytes);
}

// Subscription i belongs to connection i % conns, and to topic i / matches. Each
// connection has one packet under way, and four connections at a time have
// one: enough to keep the broker busy, and no burst of the generator's making.
static void subscribe_all(Loop *l, std::deque<Conn> *conns, uint32_t count, Kind kind) {
    size_t n = conns->size();
    std::deque<uint32_t> next(n);
    for (uint32_t i = 0; i < n; i++) next[i] = i;
    size_t turn = 0;
    uint32_t left = count;
    auto send_one = [&] {
        for (; next[turn % n] >= count; turn++) {}
        Conn *c = &(*conns)[turn % n];
        uint32_t *i = &next[turn++ % n];
        std::string filters;
        for (size_t k = 0; k < FILTERS_PER_PACKET && *i < count; k++, *i += static_cast<uint32_t>(n), left--)
            put_filter(&filters, match_filter(*i / matches, *i % matches, kind).bytes, 0);
        conn_subscribe(l, c, filters);
    };
    must(loop_until(l, 300, [&] {
        while (left && l->acks_due < 4) send_one();
        return left == 0 && l->acks_due == 0;
    }), "subscribing");
}

void run_match(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> conns, control;
    std::deque<Subscriber> subscribers;
    Publisher publisher;
    Probe probe;
    Flow flow;
    Kind kind = kind_of(arg_text(a, "kind", "exact"));
    pid_t pid = l->target.pid;
    matches = kind == Kind::Own ? 1 : 3;
    topics = arg_count(a, "subs", 1000) / matches;
    uint32_t subs = topics * matches;

    flow_begin(&flow, l, arg_count(a, "payload", 64));
    add_conns(l, &conns, arg_count(a, "clients", 999), "connecting subscribers");
    add_conns(l, &control, 1, "connecting the publisher");
    probe_open(&flow, &probe);

    // Grow, with a probe that shows the longest pause.
    Memory before = memory_settled(pid);
    uint64_t cpu = cpu_ns(pid);
    probe_start(&flow, &probe, 1000);
    subscribe_all(l, &conns, subs, kind);
    loop_until(l, 0.2, [] { return false; });
    uint64_t grown = cpu_ns(pid);
    json_latency(j, "latency_while_growing_ns", flow.latency);
    flow.pacer.interval_ns = 0;
    l->spins = false;
    loop_until(l, 0.2, [] { return false; });
    Memory after = memory_settled(pid);
    json_number(j, "subscriptions", subs);
    json_number(j, "bytes_per_subscription",
                (static_cast<double>(after.anonymous) - static_cast<double>(before.anonymous)) / subs);
    json_number(j, "cpu_ns_per_subscription", static_cast<double>(grown - cpu) / subs);

    for (auto &c : conns) {
        Subscriber *s = &subscribers.emplace_back();
        s->conn = &c;
        s->first = 1; // the probe is publisher 0
        s->is_sparse = true;
        s->streams.resize(1);
        flow_add(&flow, s);
    }
    publisher.conn = &control[0];
    publisher.receivers = matches;
    publisher.window = arg_count(a, "window", 1);
    publisher.name_topic = random_topic;
    flow_add(&flow, &publisher);
    flow_start(&flow);
    loop_until(l, arg_number(a, "warmup", 0.5), [] { return false; });
    histogram_clear(&flow.latency);
    Mark begin = flow_mark(&flow);
    loop_until(l, arg_number(a, "seconds", 2), [] { return false; });
    Mark end = flow_mark(&flow);
    json_latency(j, "latency_ns", flow.latency);
    flow_stop(&flow, 20);
    mark_report(begin, end, j);
    flow_report(&flow, j);

    if (arg_count(a, "leave", 1)) {
        must(leave_all(l, conns, 60), "disconnecting");
        Memory gone = memory_settled(pid);
        json_memory(j, "memory_end", gone);
        json_number(j, "rss_end_to_begin", before.rss ? static_cast<double>(gone.rss) / static_cast<double>(before.rss) : 0);
    }
    json_memory(j, "memory_before", before);
    json_memory(j, "memory_after", after);
}

// ---- shapes

static constexpr unsigned LEVELS = 16;

// Fourteen levels that may be `+`, one that differs from the topic, one more:
// no shape matches, each has to be tried.
static Text shape_filter(uint32_t mask) {
    Text t;
    size_t n = 0;
    for (unsigned i = 0; i < LEVELS - 1; i++)
        n += static_cast<size_t>(snprintf(t.bytes + n, sizeof t.bytes - n, mask >> i & 1 ? "+/" : "l%u/", i));
    snprintf(t.bytes + n, sizeof t.bytes - n, "no");
    return t;
}

static Mark play(Flow *f, const Args *a, Mark *begin) {
    loop_until(f->loop, arg_number(a, "warmup", 0.5), [] { return false; });
    *begin = flow_mark(f);
    loop_until(f->loop, arg_number(a, "seconds", 2), [] { return false; });
    return flow_mark(f);
}

static double per_publish(const Mark &begin, const Mark &end) {
    return static_cast<double>(end.broker_ns - begin.broker_ns) / static_cast<double>(end.sent - begin.sent);
}

// One publisher, one subscriber, a topic of 16 levels; then a third client
// subscribes to the shapes. Two topics in turn would defeat a cache no more
// than one does, so --topics of them are used (4,096).
static uint32_t shape_topics;

static void shape_topic(Publisher *p, std::string *topic) {
    topic->clear();
    for (unsigned i = 0; i < LEVELS - 1; i++) topic->append(text("l%u/", i).bytes);
    topic->append(text("%u", p->sent * 7919 % shape_topics).bytes);
}

void run_shapes(const Args *a, Loop *l, Json *j) {
    std::deque<Conn> conns;
    Publisher publisher;
    Subscriber subscriber;
    Flow flow;
    Mark begin, end;
    uint32_t shapes = arg_count(a, "shapes", 10'000);
    shape_topics = arg_count(a, "topics", 4096);
    flow_begin(&flow, l, 64);
    add_conns(l, &conns, 3, "connecting");
    publisher.conn = &conns[0];
    publisher.name_topic = shape_topic;
    flow_add(&flow, &publisher);
    subscriber.conn = &conns[1];
    subscriber.streams.resize(1);
    flow_add(&flow, &subscriber);
    std::string filters;
    put_filter(&filters, "l0/l1/#", 0);
    conn_subscribe(l, &conns[1], filters);
    settle_acks(l, 30);

    flow_start(&flow);
    end = play(&flow, a, &begin);
    double usual = per_publish(begin, end);
    flow.is_stopped = true;
    for (uint32_t i = 1; i <= shapes;) {
        filters.clear();
        for (uint32_t k = 0; k < FILTERS_PER_PACKET && i <= shapes; k++, i++) put_filter(&filters, shape_filter(i).bytes, 0);
        conn_subscribe(l, &conns[2], filters);
        loop_until(l, 30, [&] { return l->acks_due == 0; });
    }
    settle_acks(l, 30);
    flow_start(&flow);
    end = play(&flow, a, &begin);
    double shaped = per_publish(begin, end);
    flow_stop(&flow, 20);
    json_number(j, "cpu_ns_per_publish_usual", usual);
    json_number(j, "cpu_ns_per_publish_shaped", shaped);
    json_number(j, "ratio", shaped / usual);
    flow_report(&flow, j);
}
