// server.cpp -- start, turn, stop.
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

#include "base/clock.h"
#include "daemon.h"

// ---- start -----------------------------------------------------------------

// Says in the log why there is no start, and on stderr if the log is elsewhere:
// somebody may be waiting there.
[[gnu::format(printf, 2, 3)]] static bool refuse(const Server *s, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const LogOptions &log = s->config.log;
    log_error("Error: %s", text);
    if (!(log.destinations & LOG_TO_STDERR) || !(log.types & LOG_TYPE_ERROR))
        fprintf(stderr, "Error: %s\n", text);
    return false;
}

void server_complete(Config *c) {
    if (!c->memory_limit_said) c->broker.memory_limit = process_memory_share();
}

void server_log_notes(const Server *s) {
    for (const ConfigNote &n : s->config.notes) log_at(n.type, "%s", n.text);
}

void server_log_access(const Server *s) {
    const char *file = s->args->config.file;
    if (s->config.local_only)
        log_notice("No listener is configured: clients of this machine only can connect.");
    if (s->config.anonymous_by_home)
        log_warning("Warning: Nothing says who may connect, so clients without a user name are "
                    "welcome from this machine and from home networks, and refused from anywhere "
                    "else. To decide it yourself write 'allow_anonymous true' (everybody) or "
                    "'allow_anonymous false' into %s.", file ? file : "a configuration file");
}

static bool read_configuration(Server *s) {
    ConfigError error;
    if (config_read(s->args->config, &s->config, &error)) {
        server_complete(&s->config);
        return true;
    }
    fprintf(stderr, "%s\n", error.text);
    return false;
}

static bool open_log(Server *s) {
    char error[512];
    log_init(s->args->program);
    if (!log_configure(&s->config.log, error, sizeof error)) {
        fprintf(stderr, "Error: %s.\n", error);
        return false;
    }
    log_info("%s version %s starting", s->args->program, KNUT_VERSION);
    const char *file = s->args->config.file;
    if (file) log_info("Config loaded from %s.", file);
    server_log_notes(s);
    server_log_access(s);
    return true;
}

static void to_topic(void *user, LogType type, Bytes line) {
    broker_publish_log(static_cast<Broker *>(user), type, line);
}

static bool make_broker(Server *s) {
    BrokerSetup setup = {
        .hash_key = hash_key_random(),
        .program = s->args->program,
        .version = KNUT_VERSION,
        .wall_ms = clock_wall_ms,
    };
    s->broker = broker_create(setup, &s->config.broker, nullptr);
    s->net = net_create(broker_net_events(), s->broker, true);
    if (!s->net) return refuse(s, "The system offers no way to wait for sockets.");
    s->net->options = s->config.net;
    broker_attach(s->broker, s->net);
    return signals_open(s) || refuse(s, "Signals cannot be received.");
}

void server_log_opened(const Listener *l) {
    for (int i = 0; i < l->sockets_count; i++) {
        sockaddr_storage at = {};
        socklen_t size = sizeof at;
        getsockname(l->sockets[i].watch.fd, reinterpret_cast<sockaddr *>(&at), &size);
        if (at.ss_family == AF_UNIX)
            log_info("Opening unix listen socket on path %s.", l->options.path);
        else
            log_info("Opening %s listen socket on port %d.",
                     at.ss_family == AF_INET ? "ipv4" : "ipv6", listener_port(l));
    }
}

static bool open_listeners(Server *s) {
    char error[512];
    for (ConfigListener *c : s->config.listeners) {
        Listener *l = listener_open(s->net, c->net, error, sizeof error);
        if (!l) return refuse(s, "%s", error);
        l->user = &c->policy;
        vec_push(&s->listeners, l);
        server_log_opened(l);
    }
    return true;
}

static bool become_user(Server *s) {
    Identity who;
    char error[512];
    if (!identity_find(s->config.user, &who, error, sizeof error)) return refuse(s, "%s.", error);
    if (s->config.log.destinations & LOG_TO_FILE) identity_give_file(who, s->config.log.file);
    if (!identity_take(who, error, sizeof error)) return refuse(s, "%s.", error);
    return true;
}

static bool write_pid(Server *s) {
    char error[512];
    return pid_file_write(&s->pid_file, s->config.pid_file, error, sizeof error) ||
           refuse(s, "%s.", error);
}

static bool accept_clients(Server *s) {
    char error[512];
    for (Listener *l : s->listeners)
        if (!listener_start(l, error, sizeof error)) return refuse(s, "%s", error);
    return true;
}

int server_start(Server *s, const Args *args, Fd *parent) {
    s->args = args;
    process_set_umask();
    process_raise_limits();
    if (!read_configuration(s)) return EXIT_CONFIG;
    // What needs root (ports, pid file) comes before the change of user.
    if (!open_log(s) || !make_broker(s) || !open_listeners(s) || !write_pid(s) ||
        !become_user(s) || !accept_clients(s))
        return EXIT_FAILURE;
    log_set_topic_sink(to_topic, s->broker);
    notify_open(&s->notify, clock_now_ms());
    log_info("%s version %s running", args->program, KNUT_VERSION);
    notify_ready(&s->notify);
    daemon_ready(parent);
    return EXIT_SUCCESS;
}

// ---- turn ------------------------------------------------------------------

static void turn(Server *s, uint64_t until_ms) {
    net_turn(s->net, std::min({until_ms, broker_next_ms(s->broker), s->notify.next_ms}));
    broker_tick(s->broker);
    net_end_turn(s->net);
    notify_tick(&s->notify, s->net->now_ms);
}

void server_run(Server *s) {
    while (!s->stop_due) {
        turn(s, UINT64_MAX);
        if (!s->reload_due) continue;
        s->reload_due = false;
        server_reload(s);
    }
}

// ---- stop ------------------------------------------------------------------

// Connections that the broker does not know: still in their handshake.
static void abort_strangers(Net *net) {
    for (void *p = pool_next(&net->conns, nullptr); p; p = pool_next(&net->conns, p)) {
        auto *c = static_cast<Conn *>(p);
        if (!conn_closing(c)) conn_abort(c);
    }
}

// Gives what was said last a second to arrive.
static void say_goodbye(Server *s) {
    constexpr uint64_t PATIENCE_MS = 1000;
    for (Listener *l : s->listeners) listener_close(l);
    vec_free(&s->listeners);
    broker_stop(s->broker);
    abort_strangers(s->net);
    net_end_turn(s->net);
    uint64_t end = clock_now_ms() + PATIENCE_MS;
    while (s->net->connections && clock_now_ms() < end) turn(s, end);
}

void server_stop(Server *s) {
    if (s->stop_due) {
        notify_stopping(&s->notify);
        log_info("%s version %s terminating", s->args->program, KNUT_VERSION);
        say_goodbye(s);
    }
    pid_file_remove(&s->pid_file);
    log_set_topic_sink(nullptr, nullptr);
    if (s->net) signals_close(s);
    if (s->broker) broker_free(s->broker);
    if (s->net) net_free(s->net);
    vec_free(&s->listeners);
    config_free(&s->config);
    log_close();
}
