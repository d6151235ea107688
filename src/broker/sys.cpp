#include "broker/sys.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/publish.h"
#include "broker/state.h"

// ---- what is published -----------------------------------------------------

enum class Form : uint8_t {
    Number,  // "42"
    Seconds, // "42 seconds"
    Version, // "knut version 1.0"; the value says nothing, it never changes
};

// A topic below PREFIX, and what yields its value. All are O(1).
struct Figure {
    const char *topic;
    Form form;
    uint64_t (*value)(const Broker *);
};

constexpr char PREFIX[] = "$SYS/broker/";
constexpr size_t TOPIC_MAX = 80; // PREFIX, name and span of the longest
constexpr size_t TEXT_MAX = 128; // the longest payload; a longer version is cut

static uint64_t disconnected(const Broker *b) { return b->sessions.size() - b->clients_online; }

static constexpr Figure FIGURES[] = {
    {"version", Form::Version, [](const Broker *) -> uint64_t { return 0; }},
    {"uptime", Form::Seconds,
     [](const Broker *b) { return (broker_now(b) - b->started_ms) / 1000; }},
    {"clients/total", Form::Number,
     [](const Broker *b) -> uint64_t { return b->sessions.size(); }},
    {"clients/maximum", Form::Number,
     [](const Broker *b) -> uint64_t { return b->stats.clients_maximum; }},
    {"clients/connected", Form::Number,
     [](const Broker *b) -> uint64_t { return b->clients_online; }},
    {"clients/active", Form::Number,
     [](const Broker *b) -> uint64_t { return b->clients_online; }},
    {"clients/disconnected", Form::Number, disconnected},
    {"clients/inactive", Form::Number, disconnected},
    {"clients/expired", Form::Number,
     [](const Broker *b) { return b->stats.expired_sessions; }},
    {"connections/socket/count", Form::Number,
     [](const Broker *b) -> uint64_t { return b->net->connections; }},
    {"messages/received", Form::Number, [](const Broker *b) { return b->stats.packets_in; }},
    {"messages/sent", Form::Number, [](const Broker *b) { return b->stats.packets_out; }},
    {"messages/stored", Form::Number, [](const Broker *b) { return b->messages.count; }},
    {"store/messages/count", Form::Number, [](const Broker *b) { return b->messages.count; }},
    {"store/messages/bytes", Form::Number, [](const Broker *b) { return b->messages.bytes; }},
    {"retained messages/count", Form::Number,
     [](const Broker *b) { return retained_count(b->retained); }},
    {"subscriptions/count", Form::Number,
     [](const Broker *b) { return router_stats(b->router).subscriptions; }},
    {"shared_subscriptions/count", Form::Number,
     [](const Broker *b) { return router_stats(b->router).shared; }},
    {"publish/messages/received", Form::Number,
     [](const Broker *b) { return b->stats.publish_in; }},
    {"publish/messages/sent", Form::Number,
     [](const Broker *b) { return b->stats.publish_out; }},
    {"publish/messages/dropped", Form::Number,
     [](const Broker *b) { return b->stats.publish_dropped; }},
    {"publish/bytes/received", Form::Number,
     [](const Broker *b) { return b->stats.publish_bytes_in; }},
    {"publish/bytes/sent", Form::Number,
     [](const Broker *b) { return b->stats.publish_bytes_out; }},
    {"bytes/received", Form::Number, [](const Broker *b) { return b->net->bytes_in; }},
    {"bytes/sent", Form::Number, [](const Broker *b) { return b->net->bytes_out; }},
    {"packet/out/count", Form::Number, [](const Broker *b) { return b->stats.queued; }},
    {"packet/out/bytes", Form::Number, [](const Broker *b) { return b->stats.queued_bytes; }},
    {"heap/current", Form::Number, [](const Broker *) -> uint64_t { return mem_used(); }},
    {"heap/maximum", Form::Number, [](const Broker *) -> uint64_t { return mem_peak(); }},
};
constexpr size_t FIGURE_COUNT = sizeof FIGURES / sizeof *FIGURES;

// Counters whose rates are published: one topic for each of SPANS.
struct Load {
    const char *topic;
    uint64_t (*counter)(const Broker *);
};

static constexpr Load LOADS[] = {
    {"load/messages/received", [](const Broker *b) { return b->stats.packets_in; }},
    {"load/messages/sent", [](const Broker *b) { return b->stats.packets_out; }},
    {"load/publish/received", [](const Broker *b) { return b->stats.publish_in; }},
    {"load/publish/sent", [](const Broker *b) { return b->stats.publish_out; }},
    {"load/publish/dropped", [](const Broker *b) { return b->stats.publish_dropped; }},
    {"load/bytes/received", [](const Broker *b) { return b->net->bytes_in; }},
    {"load/bytes/sent", [](const Broker *b) { return b->net->bytes_out; }},
    {"load/sockets", [](const Broker *b) { return b->net->accepted; }},
    {"load/connections", [](const Broker *b) { return b->stats.connects; }},
};
constexpr size_t LOAD_COUNT = sizeof LOADS / sizeof *LOADS;

// What a load is averaged over.
struct Span {
    const char *topic;
    double minutes;
};
static constexpr Span SPANS[] = {{"/1min", 1}, {"/5min", 5}, {"/15min", 15}};
constexpr size_t SPAN_COUNT = sizeof SPANS / sizeof *SPANS;

// No figure gets there: the topic has not been published yet.
constexpr uint64_t UNPUBLISHED = UINT64_MAX;

// Owner: Broker::sys; it exists exactly while $SYS is on.
struct Sys {
    uint64_t rated_ms = 0;               // `rates` are as of then (boot time)
    uint64_t counters[LOAD_COUNT] = {};  // of LOADS, at rated_ms
    double rates[LOAD_COUNT][SPAN_COUNT] = {}; // per minute
    uint64_t figures[FIGURE_COUNT] = {}; // as last published, or UNPUBLISHED
    uint64_t hundredths[LOAD_COUNT][SPAN_COUNT] = {}; // rates as last published, * 100
};
static_assert(sizeof(Sys) <= 1024);

// ---- publishing ------------------------------------------------------------

static Bytes join_topic(const char *name, const char *span, char (&out)[TOPIC_MAX]) {
    int n = snprintf(out, TOPIC_MAX, "%s%s%s", PREFIX, name, span);
    return Bytes(out, static_cast<size_t>(n));
}

// What snprintf has really written into TEXT_MAX bytes when it returned `n`.
static Bytes written(const char *text, int n) {
    size_t size = n < 0 ? 0 : static_cast<size_t>(n);
    return Bytes(text, size < TEXT_MAX ? size : TEXT_MAX - 1);
}

static Bytes format_figure(const Broker *b, Form form, uint64_t value, char (&out)[TEXT_MAX]) {
    switch (form) {
    case Form::Number: return written(out, snprintf(out, TEXT_MAX, "%" PRIu64, value));
    case Form::Seconds: return written(out, snprintf(out, TEXT_MAX, "%" PRIu64 " seconds", value));
    case Form::Version:
        return written(out, snprintf(out, TEXT_MAX, "%s version %s", b->setup.program,
                                     b->setup.version));
    }
    return Bytes();
}

// All values are taken before the first message goes out and changes some of
// them: what belongs together agrees.
static void publish_figures(Broker *b) {
    uint64_t values[FIGURE_COUNT];
    for (size_t i = 0; i < FIGURE_COUNT; i++) values[i] = FIGURES[i].value(b);
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        if (values[i] == b->sys->figures[i]) continue;
        b->sys->figures[i] = values[i];
        char topic[TOPIC_MAX];
        char text[TEXT_MAX];
        publish_internal(b, join_topic(FIGURES[i].topic, "", topic),
                         format_figure(b, FIGURES[i].form, values[i], text), 2, true);
    }
}

static void publish_rate(Broker *b, size_t load, size_t span) {
    uint64_t hundredths = static_cast<uint64_t>(b->sys->rates[load][span] * 100 + 0.5);
    if (hundredths == b->sys->hundredths[load][span]) return;
    b->sys->hundredths[load][span] = hundredths;
    char topic[TOPIC_MAX];
    char text[TEXT_MAX];
    int n = snprintf(text, TEXT_MAX, "%" PRIu64 ".%02u", hundredths / 100,
                     static_cast<unsigned>(hundredths % 100));
    publish_internal(b, join_topic(LOADS[load].topic, SPANS[span].topic, topic),
                     written(text, n), 2, true);
}

static void publish_changes(Broker *b) {
    publish_figures(b);
    for (size_t i = 0; i < LOAD_COUNT; i++)
        for (size_t j = 0; j < SPAN_COUNT; j++) publish_rate(b, i, j);
}

// ---- loads -----------------------------------------------------------------

// e to the power of -x, x >= 0, to nine digits while it matters. Here because
// the product is not linked with libm. Four terms are exact enough for
// x / 1024, and ten squarings bring that back to x.
static double decay(double x) {
    if (x > 50) return 0;
    double y = x / 1024;
    double power = 1 - y + y * y / 2 - y * y * y / 6;
    for (int i = 0; i < 10; i++) power *= power;
    return power;
}

// Each rate moves towards that of the time since the last call, the further
// the longer that was: the past counts for e^(-minutes / span).
static void update_rates(Broker *b) {
    Sys *s = b->sys;
    uint64_t elapsed_ms = broker_now(b) - s->rated_ms;
    if (!elapsed_ms) return;
    double minutes = static_cast<double>(elapsed_ms) / 60000;
    s->rated_ms = broker_now(b);
    for (size_t i = 0; i < LOAD_COUNT; i++) {
        uint64_t counter = LOADS[i].counter(b);
        double rate = static_cast<double>(counter - s->counters[i]) / minutes;
        s->counters[i] = counter;
        for (size_t j = 0; j < SPAN_COUNT; j++)
            s->rates[i][j] = rate + (s->rates[i][j] - rate) * decay(minutes / SPANS[j].minutes);
    }
}

// ---- on and off ------------------------------------------------------------

// The next whole multiple of the interval, on the clock since boot.
static void start_timer(Broker *b) {
    uint64_t interval_ms = b->options->sys_interval_s * 1000ull;
    b->sys_timer.kind = TIMER_SYS;
    wheel_start(&b->wheel, &b->sys_timer, (broker_now(b) / interval_ms + 1) * interval_ms);
}

static Sys *create(const Broker *b) {
    Sys *s = mem_new<Sys>();
    s->rated_ms = broker_now(b);
    for (size_t i = 0; i < LOAD_COUNT; i++) s->counters[i] = LOADS[i].counter(b);
    for (uint64_t &f : s->figures) f = UNPUBLISHED;
    for (auto &of_load : s->hundredths)
        for (uint64_t &h : of_load) h = UNPUBLISHED;
    return s;
}

// Old figures would look like true ones.
static void remove_retained(Broker *b) {
    char topic[TOPIC_MAX];
    for (const Figure &f : FIGURES) retained_remove(b->retained, join_topic(f.topic, "", topic));
    for (const Load &l : LOADS)
        for (const Span &s : SPANS)
            retained_remove(b->retained, join_topic(l.topic, s.topic, topic));
}

void sys_start(Broker *b) {
    if (!b->options->sys_interval_s) {
        if (!b->sys) return;
        remove_retained(b);
        sys_free(b);
        return;
    }
    start_timer(b);
    if (b->sys) return;
    b->sys = create(b);
    publish_changes(b);
}

void sys_on_timer(Broker *b) {
    if (!b->sys) return;
    start_timer(b);
    update_rates(b);
    publish_changes(b);
}

void sys_free(Broker *b) {
    wheel_stop(&b->wheel, &b->sys_timer);
    mem_delete(b->sys);
    b->sys = nullptr;
}
