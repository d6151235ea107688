// broker/handle_connect.cpp -- CONNECT: who comes, what of, and what is there
// already under that name [MQTT-3.1.4, order of N5-2].
#include <stdio.h>

#include "base/log.h"
#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/session.h"
#include "broker/topics.h"

// A CONNECT on its way through the checks.
struct Arrival {
    Client *client;
    const Connect *packet;
    char made_id[ID_PREFIX_MAX + 40]; // an id we make up
    Bytes id;                         // the id in force
    bool is_assigned;                 // 5.0 clients are told
    uint16_t server_keep_alive_s;
    bool has_server_keep_alive;
};

// ---- answers ---------------------------------------------------------------

static void send_connack(Client *c, Version v, const Connack &k) {
    char buffer[ENCODE_MAX + ID_PREFIX_MAX + 40 + 16];
    Writer w{buffer, buffer + sizeof buffer};
    connack_encode(&w, v, k);
    client_promise(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
}

static void send_connack3(Client *c, uint8_t code) {
    char buffer[ENCODE_MAX];
    Writer w{buffer, buffer + sizeof buffer};
    connack3_encode(&w, false, code);
    client_send(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
}

// Refuses with CONNACK: no properties, but Maximum QoS where it is limited.
static Next refuse(Arrival *a, Reason reason, const char *why) {
    Client *c = a->client;
    Connack k;
    k.reason = reason;
    k.maximum_qos = policy_of(c)->max_qos;
    send_connack(c, a->packet->version, k);
    broker_of(c)->stats.refused++;
    client_end(c, End::Lost, why);
    return Next::Stop;
}

// Refuses a 3.x client with this return code, a 5.0 client with `reason`.
static Next refuse_as(Arrival *a, uint8_t code3, Reason reason, const char *why) {
    if (a->packet->version == Version::V5) return refuse(a, reason, why);
    send_connack3(a->client, code3);
    broker_of(a->client)->stats.refused++;
    client_end(a->client, End::Lost, why);
    return Next::Stop;
}

static Next refuse_malformed(Client *c, const ConnectError &e) {
    if (e.form == ConnectError::V3) send_connack3(c, e.code3);
    if (e.form == ConnectError::V5) {
        Connack k;
        k.reason = e.reason;
        send_connack(c, Version::V5, k);
    }
    broker_of(c)->stats.refused++;
    client_end(c, End::Lost, *e.what ? e.what : "protocol error");
    return Next::Stop;
}

// ---- checks: each returns true, or has refused -----------------------------

static bool check_version(Arrival *a) {
    const ListenerPolicy *p = policy_of(a->client);
    bool taken = true;
    switch (a->packet->version) {
    case Version::V31: taken = p->accept_v31; break;
    case Version::V311: taken = p->accept_v311; break;
    case Version::V5: taken = p->accept_v5; break;
    }
    if (taken) return true;
    refuse_as(a, 1, Reason::UnsupportedProtocolVersion, "protocol version not accepted here");
    return false;
}

static bool check_authentication(Arrival *a) {
    Client *c = a->client;
    if (a->packet->props.has & PROP_AUTH_METHOD) { // [MQTT-4.12.0-1]
        refuse(a, Reason::BadAuthenticationMethod, "bad authentication method");
        return false;
    }
    const ListenerPolicy *p = policy_of(c);
    if (p->use_username_as_clientid && a->packet->user_name.empty()) {
        refuse_as(a, 5, Reason::NotAuthorized, "not authorised (no user name for the client id)");
        return false;
    }
    if (p->anonymous == Anonymous::Yes) return true;
    Home home = c->conn->home;
    if (p->anonymous == Anonymous::Home && home == Home::Yes) return true;
    char why[160];
    if (p->anonymous == Anonymous::Home)
        snprintf(why, sizeof why, "not authorised (%s; see allow_anonymous)", home_text(home));
    else
        snprintf(why, sizeof why, "not authorised");
    refuse_as(a, 5, Reason::NotAuthorized, why);
    return false;
}

static bool prefix_allowed(const BrokerOptions *o, Bytes id) {
    if (!o->clientid_prefixes.size) return true;
    for (Bytes p : o->clientid_prefixes)
        if (starts_with(id, p)) return true;
    return false;
}

// "auto-" and a random UUID (version 4) in upper case.
static void make_id(Arrival *a) {
    unsigned char r[16];
    random_bytes(r, sizeof r);
    r[6] = static_cast<unsigned char>((r[6] & 0x0f) | 0x40);
    r[8] = static_cast<unsigned char>((r[8] & 0x3f) | 0x80);
    int n = snprintf(a->made_id, sizeof a->made_id,
                     "%s%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
                     policy_of(a->client)->auto_id_prefix, r[0], r[1], r[2], r[3], r[4], r[5],
                     r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
    a->id = Bytes(a->made_id, static_cast<size_t>(n));
}

static bool check_id(Arrival *a) {
    Broker *b = broker_of(a->client);
    const ListenerPolicy *p = policy_of(a->client);
    const Connect *k = a->packet;
    a->id = p->use_username_as_clientid ? k->user_name : k->client_id;
    if (a->id.empty()) {
        bool may = p->allow_zero_length_clientid && k->version != Version::V31 &&
                   (k->version == Version::V5 || k->clean_start); // [MQTT-3.1.3-8]
        if (!may) {
            refuse_as(a, 2, Reason::UnspecifiedError, "identifier rejected");
            return false;
        }
        do make_id(a);
        while (session_find(b, a->id)); // [MQTT-3.2.2-16]
        a->is_assigned = true;
        return true;
    }
    if (prefix_allowed(b->options, a->id)) return true;
    refuse_as(a, 5, Reason::NotAuthorized, "not authorised (clientid_prefixes)");
    return false;
}

static bool check_keep_alive(Arrival *a) {
    uint16_t most = broker_of(a->client)->options->max_keepalive_s;
    uint16_t asked = a->packet->keep_alive_s;
    a->client->keep_alive_s = asked;
    if (!most || (asked && asked <= most)) return true;
    if (a->packet->version != Version::V5) {
        refuse_as(a, 2, Reason::Success, "keep alive above max_keepalive");
        return false;
    }
    a->client->keep_alive_s = a->server_keep_alive_s = most;
    a->has_server_keep_alive = true;
    return true;
}

static bool check_will(Arrival *a) {
    if (!a->packet->has_will) return true;
    const BrokerOptions *o = broker_of(a->client)->options;
    const Will &w = a->packet->will;
    Reason r = Reason::Success;
    if (w.qos > policy_of(a->client)->max_qos) r = Reason::QosNotSupported; // [MQTT-3.2.2-12]
    else if (w.retain && !o->retain_available) r = Reason::RetainNotSupported; // [-13]
    else if (o->message_size_limit && w.payload.size() > o->message_size_limit)
        r = Reason::PacketTooLarge;
    else if (!topic_may_publish(w.topic)) r = Reason::NotAuthorized;
    if (r == Reason::Success) return true;
    refuse_as(a, 5, r, reason_text(r));
    return false;
}

static bool check_room(Arrival *a) {
    Broker *b = broker_of(a->client);
    int64_t most = b->options->global_max_clients;
    bool full = most >= 0 && b->sessions.size() >= static_cast<uint64_t>(most) &&
                !session_find(b, a->id);
    bool no_memory = b->options->memory_limit && mem_used() >= b->options->memory_limit;
    if (!full && !no_memory) return true;
    if (a->packet->version == Version::V5) {
        refuse(a, Reason::ServerBusy, full ? "global_max_clients reached" : "memory_limit reached");
    } else {
        b->stats.refused++;
        client_end(a->client, End::Lost, full ? "global_max_clients reached" : "memory_limit reached");
    }
    return false;
}

// ---- taking the session over -----------------------------------------------

// Throws out whoever is connected under this id [MQTT-3.1.4-3], applies Clean
// Start [-4]; returns the session to go on with, or null.
static Session *take_over(Broker *b, Bytes id, bool clean) {
    Session *s = session_find(b, id);
    if (!s) return nullptr;
    bool ends = clean || (s->is_online && s->expiry_s == 0);
    if (Client *old = session_client(s)) {
        client_send_disconnect(old, Reason::SessionTakenOver);
        client_end(old, ends ? End::Replaced : End::TakenOver, "");
    } else if (!ends) {
        session_unpark(b, s);
    }
    if (!ends) return s;
    session_end(b, s);
    return nullptr;
}

static void set_will(Arrival *a) {
    Client *c = a->client;
    Broker *b = broker_of(c);
    const Will &w = a->packet->will;
    if (!a->packet->has_will) return;
    MessageParts parts;
    parts.mount_point = policy_of(c)->mount_point;
    parts.topic = w.topic;
    parts.payload = w.payload;
    parts.props = &w.props;
    parts.source = c->session->name;
    parts.qos = w.qos;
    parts.retain = w.retain;
    Message *m = message_new(parts, 0, 0, &b->messages); // see publish_will
    if (!m) return;
    client_extra(c)->will = m;
    c->extra->will_delay_s = w.props.will_delay_s;
}

static uint32_t session_expiry(const Connect *k) {
    if (k->version == Version::V5) return k->props.session_expiry_s;
    return k->clean_start ? 0 : NO_EXPIRY; // N5-17
}

// What this connection's protocol version and CONNECT allow.
static void set_capabilities(Arrival *a) {
    Client *c = a->client;
    const Connect *k = a->packet;
    const BrokerOptions *o = broker_of(c)->options;
    c->version = k->version;
    c->caps = k->version == Version::V5 ? CAP_REASONS : 0;
    if (k->version != Version::V31) c->caps |= CAP_SUBACK_FAILURE;
    // Reason strings go to those who ask for them by name, not by default: the
    // acknowledgements stay as short as Mosquitto's.
    if (k->props.has & PROP_REQUEST_PROBLEM_INFO && k->props.request_problem_info)
        c->caps |= CAP_PROBLEM_INFO;
    c->max_packet_size = k->props.maximum_packet_size;
    c->send_quota = k->props.receive_maximum;
    if (o->max_inflight_messages && o->max_inflight_messages < c->send_quota)
        c->send_quota = o->max_inflight_messages;
    c->expiry_was_zero = session_expiry(k) == 0;
    uint16_t aliases = k->props.topic_alias_maximum;
    if (aliases > policy_of(c)->max_topic_alias_broker)
        aliases = policy_of(c)->max_topic_alias_broker;
    if (aliases) client_extra(c)->aliases_out_max = aliases;
    if (k->has_user_name) client_extra(c)->user_name = name_new(&broker_of(c)->names, k->user_name);
}

static void bind_session(Arrival *a, Session *s) {
    Client *c = a->client;
    Broker *b = broker_of(c);
    if (!s) s = session_new(b, a->id);
    s->client = c;
    s->is_online = true;
    s->is_bridge = a->packet->is_bridge;
    s->expiry_s = session_expiry(a->packet);
    c->session = s;
    b->clients_online++;
    b->stats.connects++;
}

static void welcome(Arrival *a, bool present) {
    Client *c = a->client;
    const BrokerOptions *o = broker_of(c)->options;
    const ListenerPolicy *p = policy_of(c);
    Connack k;
    k.session_present = present;
    k.server_keep_alive_s = a->server_keep_alive_s;
    k.has_server_keep_alive = a->has_server_keep_alive;
    k.topic_alias_maximum = p->max_topic_alias;
    if (a->is_assigned) k.assigned_client_id = a->id;
    k.retain_available = o->retain_available;
    k.maximum_packet_size = o->max_packet_size;
    k.receive_maximum = o->max_inflight_messages;
    k.maximum_qos = p->max_qos;
    send_connack(c, a->packet->version, k);
}

static void log_welcome(const Arrival *a) {
    const Client *c = a->client;
    if (!broker_of(c)->options->connection_messages) return;
    // Mosquitto's numbers: 1 for 3.1, 2 for 3.1.1, 5 for 5.0.
    int p = c->version == Version::V5 ? 5 : static_cast<int>(c->version) - 2;
    char addr[ADDR_TEXT];
    Bytes user = a->packet->user_name;
    log_notice("New client connected from %s as %.*s (p%d, c%d, k%u%s%.*s%s).",
               addr_text(c->conn->peer, addr), LOG_BYTES(a->id), p, a->packet->clean_start,
               c->keep_alive_s, a->packet->has_user_name ? ", u'" : "",
               LOG_BYTES(user), a->packet->has_user_name ? "'" : "");
}

Next handle_connect(Client *c, uint8_t head, Bytes body) {
    Broker *b = broker_of(c);
    Connect k;
    ConnectError e;
    if (!connect_decode(body, head, &k, &e)) return refuse_malformed(c, e);
    Arrival a = {};
    a.client = c;
    a.packet = &k;
    if (!check_version(&a) || !check_authentication(&a) || !check_id(&a) ||
        !check_keep_alive(&a) || !check_will(&a) || !check_room(&a))
        return Next::Stop;
    if (c->conn->listener->closed || b->is_stopping) return refuse(&a, Reason::ServerUnavailable, "shutting down");

    wheel_stop(&b->wheel, &c->timer);
    Session *s = take_over(b, a.id, k.clean_start);
    bool present = s != nullptr;
    set_capabilities(&a);
    bind_session(&a, s);
    set_will(&a);
    conn_authenticated(c->conn);
    client_watch_keep_alive(c);
    log_welcome(&a);
    welcome(&a, present);
    if (present) deliver_resume(b, c);
    return Next::Continue;
}
