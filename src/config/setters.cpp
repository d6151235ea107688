// config/setters.cpp -- options that need more than the table says:
// listeners and what belongs to them. Those of the log: setters_log.cpp.
#include "config/draft.h"

// ---- listeners -------------------------------------------------------------

ListenerDraft *listener_add(Reader *r) {
    auto *l = mem_new<ListenerDraft>();
    l->made.line = r->line;
    l->file = r->file;
    vec_push(&r->draft.listeners, l);
    return l;
}

ListenerDraft *listener_standard(Reader *r) {
    Draft *d = &r->draft;
    if (!d->standard) d->standard = listener_add(r);
    return d->standard;
}

ListenerDraft *listener_for(Reader *r) {
    return r->draft.current ? r->draft.current : listener_standard(r);
}

static bool take_port(Reader *r, const char *name, Bytes value, int64_t min, uint16_t *out) {
    int64_t n = 0;
    if (!take_number(r, name, value, &n)) return false;
    if (n < min || n > UINT16_MAX) return fail_value(r, name, cut(&value, ' '));
    *out = static_cast<uint16_t>(n);
    return true;
}

// PORT [ADDRESS], or 0 PATH.
bool set_listener(Reader *r, const Option &, Bytes value, void *) {
    if (value.empty()) return fail(r, "Empty 'listener port' value in configuration.");
    uint16_t port = 0;
    if (!take_port(r, "listener port", value, 0, &port)) return false;
    cut(&value, ' ');
    Bytes place = trim(value);
    if (port == 0 && place.empty())
        return fail(r, "A listener with port 0 must provide a Unix socket path.");

    ListenerDraft *l = listener_add(r);
    ListenerOptions *net = &l->made.net;
    r->draft.current = l;
    r->draft.place_was_said = true;
    net->port = port;
    if (port == 0) return take_text(r, "listener", place, net->path, sizeof net->path);
    return take_text(r, "listener", place, net->address, sizeof net->address);
}

bool set_port(Reader *r, const Option &o, Bytes value, void *) {
    r->draft.place_was_said = true;
    return take_port(r, o.name, value, 1, &listener_standard(r)->made.net.port);
}

bool set_bind_address(Reader *r, const Option &o, Bytes value, void *) {
    ListenerOptions *net = &listener_standard(r)->made.net;
    r->draft.place_was_said = true;
    return take_text(r, o.name, value, net->address, sizeof net->address);
}

bool set_protocol(Reader *r, const Option &o, Bytes value, void *base) {
    Protocol *out = &static_cast<ListenerDraft *>(base)->made.net.protocol;
    if (value == "mqtt") return *out = Protocol::Mqtt, true;
    if (value == "websockets") return *out = Protocol::WebSockets, true;
    if (value == "http_api" || value == "auto")
        return fail(r, "The 'protocol %.*s' option is not supported yet.", LOG_BYTES(value));
    return fail_choice(r, o.name, value, "mqtt, websockets");
}

bool set_socket_domain(Reader *r, const Option &o, Bytes value, void *base) {
    SocketDomain *out = &static_cast<ListenerDraft *>(base)->made.net.domain;
    if (value == "ipv4") return *out = SocketDomain::Ipv4, true;
    if (value == "ipv6") return *out = SocketDomain::Ipv6, true;
    return fail_choice(r, o.name, value, "ipv4, ipv6");
}

// Numbers 3, 4 and 5 with commas and blanks between them.
bool set_protocol_versions(Reader *r, const Option &o, Bytes value, void *base) {
    ListenerPolicy *policy = &static_cast<ListenerDraft *>(base)->made.policy;
    policy->accept_v31 = policy->accept_v311 = policy->accept_v5 = false;
    for (char c : value) switch (c) {
        case ' ':
        case ',': break;
        case '3': policy->accept_v31 = true; break;
        case '4': policy->accept_v311 = true; break;
        case '5': policy->accept_v5 = true; break;
        default: return fail_value(r, o.name, value);
        }
    if (!policy->accept_v31 && !policy->accept_v311 && !policy->accept_v5)
        return fail_value(r, o.name, value);
    return true;
}

bool set_mount_point(Reader *r, const Option &o, Bytes value, void *base) {
    ListenerPolicy *policy = &static_cast<ListenerDraft *>(base)->made.policy;
    if (value.find_first_of("+#") != Bytes::npos)
        return fail(r, "Invalid 'mount_point' value (%.*s). Does it contain a wildcard character?",
                    LOG_BYTES(slice(value, 0, 120)));
    return take_text(r, o.name, value, policy->mount_point, sizeof policy->mount_point);
}

bool set_origin(Reader *r, const Option &, Bytes value, void *base) {
    ListenerOptions *net = &static_cast<ListenerDraft *>(base)->made.net;
    vec_push(&net->websockets_origins, Bytes(keep(r, value), value.size()));
    return true;
}

// ---- global ----------------------------------------------------------------

bool set_per_listener(Reader *r, const Option &o, Bytes value, void *) {
    Draft *d = &r->draft;
    bool wanted = false;
    if (!take_bool(r, o.name, value, &wanted)) return false;
    if (wanted == d->per_listener) return true;
    if (!wanted) return fail(r, "'%s' cannot be undone.", o.name);
    if (d->bound_to_global)
        return fail(r, "'%s' must stand before '%s'.", o.name, d->bound_to_global);
    return d->per_listener = true;
}

// Despite its name one prefix; the last line counts.
bool set_clientid_prefixes(Reader *r, const Option &, Bytes value, void *base) {
    BrokerOptions *broker = &static_cast<Config *>(base)->broker;
    broker->clientid_prefixes.size = 0;
    vec_push(&broker->clientid_prefixes, Bytes(keep(r, value), value.size()));
    return true;
}

static int64_t seconds_of(char unit) {
    constexpr int64_t DAY = 24 * 60 * 60;
    switch (unit) {
    case 's': return 1;
    case 'h': return 60 * 60;
    case 'd': return DAY;
    case 'w': return 7 * DAY;
    case 'm': return 30 * DAY;
    case 'y': return 365 * DAY;
    }
    return 0;
}

// A number and its unit, without a blank between them.
bool set_expiration(Reader *r, const Option &o, Bytes value, void *base) {
    BrokerOptions *broker = &static_cast<Config *>(base)->broker;
    int64_t n = 0, unit = seconds_of(value.back());
    if (!unit || !parse_int(slice(value, 0, value.size() - 1), &n) || n < 1)
        return fail_value(r, o.name, value);
    if (n > UINT32_MAX / unit) return fail_value(r, o.name, value);
    broker->persistent_client_expiration_s = static_cast<uint32_t>(n * unit);
    return true;
}
