// broker/broker.cpp -- the broker as a whole: made, driven, stopped.
#include "broker/broker.h"

#include "base/log.h"
#include "broker/client.h"
#include "broker/publish.h"
#include "broker/replay.h"
#include "broker/send.h"
#include "broker/session.h"
#include "broker/sys.h"

// How often memory that bursts have left is given back, and how many retained
// messages one look for expired ones takes in.
constexpr uint64_t TRIM_INTERVAL_MS = 5000;
constexpr size_t TRIM_WORTH = 1 << 20;
constexpr uint32_t RETAIN_EXPIRY_STEPS = 10000;

// Most bytes of log lines that wait for the end of a turn to be published.
constexpr uint32_t LOG_LINES_MAX = 64 * 1024;

static void on_blob_free(void *owner, Blob *blob) {
    Broker *b = static_cast<Broker *>(owner);
    message_free(reinterpret_cast<Message *>(blob), &b->messages);
}

static void on_refused(Conn *conn, CloseCause cause, const char *why) {
    char addr[ADDR_TEXT];
    log_notice("Connection from %s rejected, %s.", addr_text(conn->peer, addr),
               why && *why ? why : close_cause_text(cause));
}

NetEvents broker_net_events() {
    NetEvents e = {};
    e.on_open = client_on_open;
    e.on_data = client_on_data;
    e.on_drained = client_on_drained;
    e.on_closed = client_on_closed;
    e.on_blob_free = on_blob_free;
    e.on_refused = on_refused;
    return e;
}

// ---- timers ----------------------------------------------------------------

template <class T, Timer T::*M> static T *owner_of(Timer *t) {
    alignas(T) static char probe[sizeof(T)];
    auto *at = reinterpret_cast<char *>(&(reinterpret_cast<T *>(probe)->*M));
    return reinterpret_cast<T *>(reinterpret_cast<char *>(t) - (at - probe));
}

static void expire_retained(Broker *b) {
    uint32_t n = retained_expire(b->retained, broker_now(b), RETAIN_EXPIRY_STEPS);
    b->stats.expired_messages += n;
    uint64_t every = b->options->retain_expiry_interval_s * 1000ull;
    // A store larger than one look goes round faster, not in one long turn.
    if (every && retained_count(b->retained) > RETAIN_EXPIRY_STEPS)
        every = every * RETAIN_EXPIRY_STEPS / retained_count(b->retained) + 1;
    if (every) wheel_start(&b->wheel, &b->retain_timer, broker_now(b) + every);
}

// Gives freed pages back after a burst; at rest it does nothing.
static void trim(Broker *b) {
    if (mem_take_recent_peak() > mem_used() + TRIM_WORTH) mem_trim();
    wheel_start(&b->wheel, &b->trim_timer, broker_now(b) + TRIM_INTERVAL_MS);
}

static void on_due(void *user, Timer *t) {
    Broker *b = static_cast<Broker *>(user);
    switch (static_cast<TimerKind>(t->kind)) {
    case TIMER_CONNECT: return client_on_connect_timeout(owner_of<Client, &Client::timer>(t));
    case TIMER_KEEP_ALIVE: return client_on_keep_alive(owner_of<Client, &Client::timer>(t));
    case TIMER_SESSION_EXPIRY: return session_on_expiry(b, owner_of<Offline, &Offline::expiry>(t));
    case TIMER_WILL: return session_on_will(b, owner_of<Offline, &Offline::will_timer>(t));
    case TIMER_SYS: return sys_on_timer(b);
    case TIMER_RETAIN_EXPIRY: return expire_retained(b);
    case TIMER_TRIM: return trim(b);
    }
}

// ---- life ------------------------------------------------------------------

Broker *broker_create(const BrokerSetup &setup, const BrokerOptions *options, Store *store) {
    Broker *b = mem_new<Broker>();
    b->setup = setup;
    b->options = options;
    b->store = store;
    pool_init(&b->client_pool, sizeof(Client));
    pool_init(&b->session_pool, sizeof(Session));
    name_pool_init(&b->names);
    b->router = router_create(setup.hash_key);
    b->retained = retained_create(setup.hash_key, &b->messages);
    b->sys_timer.kind = TIMER_SYS;
    b->retain_timer.kind = TIMER_RETAIN_EXPIRY;
    b->trim_timer.kind = TIMER_TRIM;
    return b;
}

void broker_attach(Broker *b, Net *net) {
    b->net = net;
    b->started_ms = net->now_ms;
    wheel_init(&b->wheel, net->now_ms, on_due, b);
    wheel_start(&b->wheel, &b->trim_timer, broker_now(b) + TRIM_INTERVAL_MS);
    broker_options_changed(b);
}

void broker_options_changed(Broker *b) {
    wheel_stop(&b->wheel, &b->retain_timer);
    if (b->options->retain_expiry_interval_s)
        wheel_start(&b->wheel, &b->retain_timer,
                    broker_now(b) + b->options->retain_expiry_interval_s * 1000ull);
    sys_start(b);
}

// Calls `each` for every client, which may end that one.
static void each_client(Broker *b, void (*each)(Client *, const void *), const void *user) {
    for (void *p = pool_next(&b->client_pool, nullptr), *next; p; p = next) {
        next = pool_next(&b->client_pool, p);
        each(static_cast<Client *>(p), user);
    }
}

static void forget_client(Client *c, const void *) { client_end(c, End::Disconnect, ""); }

// What is parked goes without its will.
static void forget_session(Broker *b, Session *s) {
    session_unpark(b, s);
    session_end(b, s);
}

void broker_free(Broker *b) {
    b->is_stopping = true;
    each_client(b, forget_client, nullptr);
    net_abort_all(b->net); // outboxes hold messages
    uint64_t it = 0;
    while (Session **s = b->sessions.next(&(it = 0))) forget_session(b, *s);
    sys_free(b);
    router_free(b->router);
    retained_free(b->retained);
    frames_free(b);
    vec_free(&b->matches);
    vec_free(&b->log_lines);
    b->sessions.free();
    name_pool_end(&b->names);
    pool_end(&b->client_pool);
    pool_end(&b->session_pool);
    mem_delete(b);
}

// ---- log lines as messages: never in the middle of something -----------------

struct LogTopic {
    uint32_t type;
    Bytes topic;
};
static constexpr LogTopic LOG_TOPICS[] = {
    {LOG_TYPE_ERROR, "$SYS/broker/log/E"},
    {LOG_TYPE_WARNING, "$SYS/broker/log/W"},
    {LOG_TYPE_NOTICE, "$SYS/broker/log/N"},
    {LOG_TYPE_INFORMATION, "$SYS/broker/log/I"},
    {LOG_TYPE_SUBSCRIBE, "$SYS/broker/log/M/subscribe"},
    {LOG_TYPE_UNSUBSCRIBE, "$SYS/broker/log/M/unsubscribe"},
};

// A line waits as: its row in LOG_TOPICS, two bytes of length, its text.
void broker_publish_log(Broker *b, uint32_t type, Bytes line) {
    if (line.size() > LOG_LINE_MAX || b->log_lines.size + line.size() > LOG_LINES_MAX) return;
    for (size_t i = 0; i < sizeof LOG_TOPICS / sizeof *LOG_TOPICS; i++) {
        if (LOG_TOPICS[i].type != type) continue;
        vec_push(&b->log_lines, static_cast<char>(i));
        vec_push(&b->log_lines, static_cast<char>(line.size() >> 8));
        vec_push(&b->log_lines, static_cast<char>(line.size() & 0xff));
        for (char c : line) vec_push(&b->log_lines, c);
    }
}

static void publish_log_lines(Broker *b) {
    Vec<char> lines = b->log_lines; // what they cause to be logged waits in turn
    b->log_lines = {};
    for (uint32_t at = 0; at < lines.size;) {
        const LogTopic &t = LOG_TOPICS[static_cast<uint8_t>(lines[at])];
        uint32_t size = static_cast<uint32_t>(static_cast<uint8_t>(lines[at + 1]) << 8 |
                                              static_cast<uint8_t>(lines[at + 2]));
        publish_internal(b, t.topic, Bytes(lines.data + at + 3, size), 0, false);
        at += 3 + size;
    }
    vec_free(&lines);
}

void broker_tick(Broker *b) {
    wheel_advance(&b->wheel, broker_now(b));
    if (b->replays) replay_continue(b);
    if (b->log_lines.size) publish_log_lines(b);
}

uint64_t broker_next_ms(const Broker *b) {
    return b->replays || b->log_lines.size ? broker_now(b) : wheel_next_ms(&b->wheel);
}

// ---- sending clients away --------------------------------------------------

static void send_away(Client *c, Reason reason, End end, const char *why) {
    client_send_disconnect(c, reason);
    client_end(c, end, why);
}

static void drop_if_from(Client *c, const void *listener) {
    if (c->conn->listener == listener)
        send_away(c, Reason::AdministrativeAction, End::Lost, "administrative action");
}

void broker_drop_listener(Broker *b, const Listener *l) { each_client(b, drop_if_from, l); }

static void publish_will_of(Client *c, const void *) { client_publish_will(c); }

static void stop_client(Client *c, const void *) {
    send_away(c, Reason::ServerShuttingDown, End::Stopping, "server shutting down");
}

void broker_stop(Broker *b) {
    b->is_stopping = true;
    each_client(b, publish_will_of, nullptr); // while everybody can hear them
    each_client(b, stop_client, nullptr);
}

// ---- for people ------------------------------------------------------------

static void log_filter(void *, const Filter *f) {
    log_line(LOG_TYPE_NOTICE, "  %.*s (%u subscribers%s)", LOG_BYTES(filter_text(f)),
             f->subs.size, f->groups ? ", and shared" : "");
    for (const Group *g = f->groups; g; g = g->next)
        log_line(LOG_TYPE_NOTICE, "    $share/%.*s: %u members, next is number %u",
                 static_cast<int>(g->name_size), g->name, g->members.size, g->turn);
}

void broker_log_subscriptions(Broker *b) {
    RouterStats s = router_stats(b->router);
    log_notice("Subscriptions: %llu, shared: %llu, filters: %llu, wildcard shapes: %u.",
               static_cast<unsigned long long>(s.subscriptions),
               static_cast<unsigned long long>(s.shared),
               static_cast<unsigned long long>(s.filters), s.shapes);
    router_each(b->router, log_filter, nullptr);
}
