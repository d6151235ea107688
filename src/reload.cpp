// reload.cpp -- SIGHUP: the new configuration as a whole, or the old one.
//
// Everything that can fail comes first and is undone if it does: reading,
// opening new listeners, the log. Only then is anything given up.
#include <stdio.h>

#include "server.h"

struct Reload {
    Config config;              // the new one
    Vec<Listener *> listeners;  // listeners[i] is of config.listeners[i]
    Vec<Listener *> opened;     // those of them that are new
};

static Listener *find_open(const Server *s, const ListenerOptions &wanted) {
    for (uint32_t i = 0; i < s->listeners.size; i++)
        if (listener_same_place(s->listeners[i]->options, wanted)) return s->listeners[i];
    return nullptr;
}

// Opens what is not open yet. It accepts nothing before the turn ends.
static bool open_new(Server *s, Reload *r, char *error, size_t error_size) {
    for (ConfigListener *c : r->config.listeners) {
        Listener *l = find_open(s, c->net);
        if (!l) {
            l = listener_open(s->net, c->net, error, error_size);
            if (!l) return false;
            c->net.websockets_origins = {}; // the listener has taken them
            l->user = &c->policy;
            vec_push(&r->opened, l);
            if (!listener_start(l, error, error_size)) return false;
        }
        vec_push(&r->listeners, l);
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
    config_free(&r->config);
}

// Sends the clients of a listener away, and whoever is on the way in.
static void empty_listener(Server *s, Listener *l) {
    broker_drop_listener(s->broker, l);
    for (Conn *c : s->net->conns)
        if (c->listener == l && !conn_closing(c)) conn_abort(c);
}

static bool has(const Vec<Listener *> &all, const Listener *l) {
    for (const Listener *each : all)
        if (each == l) return true;
    return false;
}

static void close_old(Server *s, const Reload &r) {
    for (Listener *l : s->listeners) {
        if (has(r.listeners, l)) continue;
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
        c->net.websockets_origins = {}; // the listener has taken them
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
    s->config = r->config; // the broker goes on reading its options here
    vec_free(&s->listeners);
    s->listeners = r->listeners;
    r->listeners = {};
    s->net->options = s->config.net;
    broker_options_changed(s->broker);
    config_each_stuck(&old, &s->config, log_stuck);
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
        log_info("Config reloaded from %s.", s->args->config.file ? s->args->config.file : "the command line");
        server_log_notes(s);
    } else {
        log_refusal(error);
        undo(&r);
    }
    vec_free(&r.listeners);
    vec_free(&r.opened);
    net_end_turn(s->net);
    notify_ready(&s->notify);
}
