// main.cpp -- the load generator: arguments, and the table of scenarios.
#include "scenario.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/resource.h>

static constexpr Scenario SCENARIOS[] = {
    {"fanout", "one publisher, --subs subscribers", run_fanout},
    {"fanin", "--pubs publishers, one subscriber with a wildcard", run_fanin},
    {"pairs", "--pairs publishers with a subscriber each; --rate: at a fixed rate", run_pairs},
    {"slow", "fan-out, and one subscriber stops reading half-way", run_slow},
    {"idle", "--count connections that do nothing; --subscribe 1: a subscription each", run_idle},
    {"storm", "--count connects and disconnects", run_storm},
    {"match", "publishes that match 3 of --subs subscriptions; --kind exact|wild|own", run_match},
    {"shapes", "--shapes wildcard shapes that nearly match", run_shapes},
    {"retained", "--count retained messages, and a subscription to all of them", run_retained},
    {"pick", "--count retained messages, and subscriptions to ten of them", run_pick},
    {"offline", "--sessions absent sessions with --messages each; --kind own|shared", run_offline},
};

static Json report;

double arg_number(const Args *a, const char *name, double otherwise) {
    auto it = a->values.find(name);
    return it == a->values.end() ? otherwise : atof(it->second.c_str());
}

uint32_t arg_count(const Args *a, const char *name, uint32_t otherwise) {
    return static_cast<uint32_t>(arg_number(a, name, otherwise));
}

std::string arg_text(const Args *a, const char *name, const char *otherwise) {
    auto it = a->values.find(name);
    return it == a->values.end() ? otherwise : it->second;
}

void must(bool is_done, const char *step) {
    if (is_done) return;
    json_text(&report, "failed", step);
    json_bool(&report, "valid", false);
    printf("{%s}\n", report.text.c_str());
    exit(1);
}

Text text(const char *format, ...) {
    Text t;
    va_list args;
    va_start(args, format);
    vsnprintf(t.bytes, sizeof t.bytes, format, args);
    va_end(args);
    return t;
}

void add_conns(Loop *l, std::deque<Conn> *conns, size_t count, const char *step) {
    static uint32_t next_index = 0;
    std::deque<Conn> *all = conns;
    for (size_t i = 0; i < count; i++) all->emplace_back().index = next_index++;
    must(connect_all(l, *all, 60), step);
}

void settle_acks(Loop *l, double seconds) {
    must(loop_until(l, seconds, [&] { return l->acks_due == 0 && l->pings_due == 0; }), "waiting for acknowledgements");
}

void probe_open(Flow *f, Probe *p) {
    add_conns(f->loop, &p->conns, 2, "connecting the probe");
    p->publisher.conn = &p->conns[0];
    p->publisher.topic = "probe/latency";
    p->publisher.is_paced = true;
    flow_add(f, &p->publisher);
    p->subscriber.conn = &p->conns[1];
    p->subscriber.first = p->publisher.number;
    p->subscriber.streams.resize(1);
    flow_add(f, &p->subscriber);
    std::string filters;
    put_filter(&filters, p->publisher.topic, 0);
    conn_subscribe(f->loop, &p->conns[1], filters);
    settle_acks(f->loop, 30);
}

void probe_start(Flow *f, Probe *p, double per_second) {
    histogram_clear(&f->latency);
    f->pacer.publishers = {&p->publisher};
    flow_pace(f, per_second);
}

static int usage(void) {
    fprintf(stderr, "usage: load SCENARIO [--port N] [--pid N] [--transport tcp|ws] [--version 4|5]\n"
                    "            [--payload BYTES] [--qos N] [--window N] [--seconds S] ...\n\n");
    for (auto &s : SCENARIOS) fprintf(stderr, "  %-9s %s\n", s.name, s.help);
    return 2;
}

static void raise_limit(void) {
    rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
}

int main(int argc, char **argv) {
    Args args;
    Loop loop;
    const Scenario *scenario = nullptr;
    for (auto &s : SCENARIOS) if (argc > 1 && strcmp(argv[1], s.name) == 0) scenario = &s;
    if (!scenario || argc % 2 != 0) return usage();
    for (int i = 2; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0) return usage();
        args.values[argv[i] + 2] = argv[i + 1];
    }
    args.target.port = static_cast<uint16_t>(arg_count(&args, "port", 1883));
    args.target.pid = static_cast<int>(arg_count(&args, "pid", 0));
    args.target.is_ws = arg_text(&args, "transport", "tcp") == "ws";
    args.target.version = arg_count(&args, "version", 4) == 5 ? Version::V5 : Version::V311;

    raise_limit();
    loop_open(&loop, args.target);
    loop.always_spins = arg_count(&args, "spin", 0) != 0;
    json_text(&report, "scenario", scenario->name);
    for (auto &[name, value] : args.values) if (name != "pid" && name != "port") json_text(&report, ("arg_" + name).c_str(), value);
    scenario->run(&args, &loop, &report);
    printf("{%s}\n", report.text.c_str());
}
