// reload.cpp -- SIGHUP: the new configuration as a whole, or the old one.
//
// Everything that can fail comes first and is undone if it does: reading,
// opening new listeners, the log. Only then is anything given up.
#include <stdio.h>
#include <sys/socket.h>

#include "server.h"

struct Reload {
    Config config;              // the new one
    Vec<Listener *> listeners;  // listeners[i] is of config.listeners[i]
    Vec<Listener *> opened;     // those of them that are new
    Vec<Listener *> silenced;   // old ones that stand in the way of new ones
};

static bool has(const Vec<Listener *> &all, const Listener *l) {
    for (const Listener *each : all)
        if (each == l) return true;
    return false;
}

// ---- listeners that move ---------------------------------------------------

// A socket that listens keeps others off its port, whatever the address: from
// loopback to all addresses there would be no way. Shut down it stays bound,
// lets the new one in, and can listen again without asking anybody.
static void silence(Listener *l) {
    for (int i = 0; i < l->sockets_count; i++) shutdown(l->sockets[i].watch.fd, SHUT_RDWR);
}

static void unsilence(Listener *l) {
    for (int i = 0; i < l->sockets_count; i++) listen(l->sockets[i].watch.fd, SOMAXCONN);
}

static void silence_port(const Server *s, Reload *r, uint16_t port) {
    for (Listener *l : s->listeners) {
        if (!port || l->options.port != port) continue;
        if (has(r->listeners, l) || has(r->silenced, l)) continue;
        silence(l);
        vec_push(&r->silenced, l);
    }
}

// ---- what can fail ---------------------------------------------------------

// The protocol of an open listener can change.
static Listener *find_open(const Server *s, const Reload *r, ListenerOptions wanted) {
    for (Listener *l : s->listeners) {
        if (has(r->listeners, l)) continue;
        wanted.protocol = l->options.protocol;
        if (listener_same_place(l->options, wanted)) return l;
    }
    return nullptr;
}

// Opens a listener. It accepts nothing before the turn ends.
static Listener *open_one(Server *s, Reload *r, ConfigListener *c, char *error, size_t size) {
    silence_port(s, r, c->net.port);
    Listener *l = listener_open(s->net, c->net, error, size);
    if (!l) return nullptr;
    l->user = &c->policy;
    vec_push(&r->opened, l);
    return listener_start(l, error, size) ? l : nullptr;
}

// First what stays, so that it is known who stands in nobody's way.
static bool open_new(Server *s, Reload *r, char *error, size_t error_size) {
    for (ConfigListener *c : r->config.listeners)
        vec_push(&r->listeners, find_open(s, r, c->net));
    for (uint32_t i = 0; i < r->listeners.size; i++) {
        if (r->listeners[i]) continue;
        r->listeners[i] = open_one(s, r, r->config.listeners[i], error, error_size);
        if (!r->listeners[i]) return false;
    }
    return true;
}

static bool prepare(Server *s, Reload *r, char *error, size_t error_size) {
    ConfigError wrong;
    if (!config_read(s->args->config, &r->config, &wrong)) {
        snprintf(error, error_size, "%s", wrong.text);
        return false;
    }
    server_complete(&r->config);
    return open_new(s, r, error, error_size) &&
           log_configure(&r->config.log, error, error_size);
}

static void undo(Reload *r) {
    for (Listener *l : r->opened) listener_close(l);
    for (Listener *l : r->silenced) unsilence(l);
    config_free(&r->config);
}

// ---- what cannot -----------------------------------------------------------

// Sends the clients of a listener away, and whoever is on the way in.
static void empty_listener(Server *s, Listener *l) {
    broker_drop_listener(s->broker, l);
    Pool *all = &s->net->conns;
    for (void *p = pool_next(all, nullptr); p; p = pool_next(all, p)) {
        auto *c = static_cast<Conn *>(p);
        if (c->listener == l && !conn_closing(c)) conn_abort(c);
    }
}

static void close_old(Server *s, const Reload &r) {
    for (Listener *l : s->listeners) {
        if (has(r.listeners, l)) continue;
        if (l->options.path[0])
            log_info("Closing listen socket on path %s.", l->options.path);
        else
            log_info("Closing listen socket on port %d.", l->options.port);
        empty_listener(s, l);
        listener_close(l);
    }
}

// True if clients that are connected cannot go on as they are.
static bool is_other_service(const Listener *l, const ConfigListener *now) {
    auto *before = static_cast<const ListenerPolicy *>(l->user);
    return l->options.protocol != now->net.protocol ||
           strcmp(before->mount_point, now->policy.mount_point) != 0;
}

static void change_kept(Server *s, const Reload &r) {
    for (uint32_t i = 0; i < r.listeners.size; i++) {
        Listener *l = r.listeners[i];
        ConfigListener *c = r.config.listeners[i];
        if (has(r.opened, l)) continue;
        if (is_other_service(l, c)) empty_listener(s, l);
        listener_change(l, c->net);
        l->options.protocol = c->net.protocol;
        l->user = &c->policy;
    }
}

static void log_stuck(const char *name) {
    log_warning("Warning: The change of '%s' takes effect at the next start.", name);
}

static void commit(Server *s, Reload *r) {
    Config old = s->config;
    close_old(s, *r);
    change_kept(s, *r);
    for (const Listener *l : r->opened) server_log_opened(l);
    s->config = r->config; // the broker goes on reading its options here
    vec_free(&s->listeners);
    s->listeners = r->listeners;
    r->listeners = {};
    s->net->options = s->config.net;
    broker_options_changed(s->broker);
    server_log_notes(s);
    config_each_stuck(&old, &s->config, log_stuck);
    bool was_said = old.local_only == s->config.local_only &&
                    old.anonymous_by_home == s->config.anonymous_by_home;
    if (!was_said) server_log_access(s);
    config_free(&old);
}

// The lines of a configuration error one by one.
static void log_refusal(Bytes text) {
    while (!text.empty()) {
        Bytes line = cut(&text, '\n');
        log_error("%.*s", LOG_BYTES(line));
    }
    log_error("Error: The configuration was not reloaded. The old one stays as it is.");
}

void server_reload(Server *s) {
    char error[sizeof(ConfigError)];
    Reload r;
    notify_reloading(&s->notify);
    log_reopen(); // also where the configuration turns out to be wrong
    log_info("Reloading config.");
    if (prepare(s, &r, error, sizeof error)) {
        commit(s, &r);
        log_info("Config reloaded.");
    } else {
        undo(&r);
        log_refusal(error);
    }
    vec_free(&r.listeners);
    vec_free(&r.opened);
    vec_free(&r.silenced);
    net_end_turn(s->net);
    notify_ready(&s->notify);
}
