// scenario.h -- what all scenarios share: arguments, groups of connections,
// steps that must not fail.
#pragma once

#include "flow.h"

#include <deque>
#include <map>
#include <string>

struct Args {
    std::map<std::string, std::string> values;
    Target target;
};
double arg_number(const Args *a, const char *name, double otherwise);
uint32_t arg_count(const Args *a, const char *name, uint32_t otherwise);
std::string arg_text(const Args *a, const char *name, const char *otherwise);

// Every scenario runs from an open loop to a filled report.
struct Scenario {
    const char *name;
    const char *help;
    void (*run)(const Args *, Loop *, Json *);
};

void run_fanout(const Args *, Loop *, Json *);
void run_fanin(const Args *, Loop *, Json *);
void run_pairs(const Args *, Loop *, Json *);
void run_slow(const Args *, Loop *, Json *);
void run_idle(const Args *, Loop *, Json *);
void run_storm(const Args *, Loop *, Json *);
void run_match(const Args *, Loop *, Json *);
void run_shapes(const Args *, Loop *, Json *);
void run_retained(const Args *, Loop *, Json *);
void run_pick(const Args *, Loop *, Json *);
void run_offline(const Args *, Loop *, Json *);

// Ends the program with a void report when a step was not done in its time.
void must(bool is_done, const char *step);

// Connections `first` to `first + count - 1`, open and greeted.
void add_conns(Loop *l, std::deque<Conn> *conns, size_t count, const char *step);

// Waits for all SUBACK and UNSUBACK.
void settle_acks(Loop *l, double seconds);

// A pair of connections that measures latency at a fixed rate while something
// else goes on.
struct Probe {
    std::deque<Conn> conns;
    Publisher publisher;
    Subscriber subscriber;
};
void probe_open(Flow *f, Probe *p);
void probe_start(Flow *f, Probe *p, double per_second);

struct Text {
    char bytes[96];
};
// printf into a value that can be handed on.
Text text(const char *format, ...) __attribute__((format(printf, 1, 2)));
