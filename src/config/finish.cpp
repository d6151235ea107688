// config/finish.cpp -- what can only be decided when all was read.
#include "config/draft.h"

// Without per_listener_settings an L/G option holds for every listener.
static void share(Reader *r, ListenerDraft *l) {
    for (int i = 0, n = option_count(); i < n; i++) {
        const Option &o = option_at(i);
        if (o.scope != Scope::ListenerOrGlobal || !o.size) continue;
        if (!said_has(r->draft.shared.said, i)) continue;
        auto *from = reinterpret_cast<const char *>(&r->draft.shared) + o.offset;
        memcpy(reinterpret_cast<char *>(l) + o.offset, from, o.size);
        said_add(&l->said, i);
    }
}

static bool was_said(const ListenerDraft *l, Bytes name) {
    return said_has(l->said, option_find(name));
}

// Who may connect without a user name: see DESIGN, "when nothing says so".
// When there are ways to authenticate, having one will mean No.
static Anonymous anonymous_of(const Draft &d, const ListenerDraft *l) {
    if (was_said(l, "listener_allow_anonymous"))
        return l->own_anonymous ? Anonymous::Yes : Anonymous::No;
    if (was_said(l, "allow_anonymous")) return l->anonymous ? Anonymous::Yes : Anonymous::No;
    return d.config.local_only ? Anonymous::Yes : Anonymous::Home;
}

static void finish_listener(Draft *d, ListenerDraft *l) {
    ListenerPolicy *policy = &l->made.policy;
    policy->anonymous = anonymous_of(*d, l);
    if (policy->anonymous == Anonymous::Home) d->config.anonymous_by_home = true;
    bool own = was_said(l, "listener_auto_id_prefix");
    memcpy(policy->auto_id_prefix, own ? l->own_prefix : l->prefix, sizeof policy->auto_id_prefix);

    auto *made = mem_new<ConfigListener>(l->made);
    l->made.net.websockets_origins = {}; // they went along
    vec_push(&d->config.listeners, made);
}

// No listener was defined: this machine only, on the ports of -p or on 1883.
// Options that were given for the default listener hold for all of them.
static void listen_locally(Reader *r) {
    ListenerDraft *standard = listener_standard(r);
    ListenerOptions *net = &standard->made.net;
    net->loopback_only = true;
    r->draft.config.local_only = true;
    for (int i = 0; i < r->arguments->ports_count; i++) {
        if (i == 0) {
            net->port = r->arguments->ports[0];
            continue;
        }
        ListenerDraft *copy = listener_add(r);
        *copy = *standard;
        copy->made.net.port = r->arguments->ports[i];
        copy->made.net.websockets_origins = {};
        for (Bytes origin : net->websockets_origins)
            vec_push(&copy->made.net.websockets_origins, origin);
    }
}

static void finish_log(Reader *r) {
    LogOptions *log = &r->draft.config.log;
    const ConfigArguments *a = r->arguments;
    if (!said_has(r->draft.said, option_find("log_dest")))
        log->destinations = a->daemon ? LOG_TO_SYSLOG : LOG_TO_STDERR;
    if (!said_has(r->draft.said, option_find("log_type"))) log->types = LOG_TYPE_USUAL;
    if (a->verbose) log->types = LOG_TYPE_ALL;
    if (a->quiet) log->types = 0;
}

static bool check_places(Reader *r) {
    const Vec<ListenerDraft *> &all = r->draft.listeners;
    for (uint32_t i = 0; i < all.size; i++)
        for (uint32_t j = 0; j < i; j++) {
            ListenerOptions other = all[j]->made.net;
            other.protocol = all[i]->made.net.protocol; // no second one speaks there
            if (!listener_same_place(all[i]->made.net, other)) continue;
            r->file = all[i]->file;
            r->line = all[i]->made.line;
            return fail(r, "Duplicate listener: another one has the same port (%d) and address.",
                        all[i]->made.net.port);
        }
    return true;
}

bool finish(Reader *r) {
    Draft *d = &r->draft;
    if (!d->place_was_said) listen_locally(r);
    if (!check_places(r)) return false;
    for (ListenerDraft *l : d->listeners) {
        if (!d->per_listener) share(r, l);
        finish_listener(d, l);
    }
    finish_log(r);
    d->config.net.handshake_timeout_ms = d->config.broker.connect_timeout_ms;
    d->config.memory_limit_said = said_has(d->said, option_find("memory_limit"));
    return true;
}
