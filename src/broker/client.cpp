// broker/client.cpp -- cutting packets, the gate before the handlers, and the
// one function that ends a connection.
#include "broker/client.h"

#include <stdio.h>

#include "base/log.h"
#include "broker/cut.h"
#include "broker/deliver.h"
#include "broker/publish.h"
#include "broker/session.h"

// ---- a table of packets, and the gate --------------------------------------

enum class Gate : uint8_t { Never, First, Later };

struct PacketRule {
    const char *name;
    Gate gate;
    Next (*handle)(Client *, uint8_t head, Bytes body);
};

static constexpr PacketRule RULES[16] = {
    {"reserved", Gate::Never, nullptr},
    {"CONNECT", Gate::First, handle_connect},
    {"CONNACK", Gate::Never, nullptr},
    {"PUBLISH", Gate::Later, handle_publish},
    {"PUBACK", Gate::Later, handle_ack},
    {"PUBREC", Gate::Later, handle_ack},
    {"PUBREL", Gate::Later, handle_ack},
    {"PUBCOMP", Gate::Later, handle_ack},
    {"SUBSCRIBE", Gate::Later, handle_subscribe},
    {"SUBACK", Gate::Never, nullptr},
    {"UNSUBSCRIBE", Gate::Later, handle_unsubscribe},
    {"UNSUBACK", Gate::Never, nullptr},
    {"PINGREQ", Gate::Later, handle_pingreq},
    {"PINGRESP", Gate::Never, nullptr},
    {"DISCONNECT", Gate::Later, handle_disconnect},
    {"AUTH", Gate::Later, handle_auth},
};

const char *client_packet_name(PacketType type) { return RULES[static_cast<uint8_t>(type)].name; }

static uint32_t outbox_limit(const Client *c) {
    uint32_t limit = policy_of(c)->max_outbox_bytes;
    return limit ? limit : (1u << 20) + broker_of(c)->options->max_packet_size;
}

// PUBLISH and its acknowledgements have lines of their own, with more in them.
static void log_packet(const Client *c, const char *verb, uint8_t head, const char *way) {
    PacketType type = packet_type(head);
    if (type >= PacketType::Publish && type <= PacketType::Pubcomp) return;
    log_line(LOG_TYPE_DEBUG, "%s %s %s %.*s", verb, client_packet_name(type), way,
             LOG_BYTES(client_id(c)));
}

Next client_dispatch(Client *c, uint8_t head, Bytes body) {
    const PacketRule &rule = RULES[head >> 4];
    if (!c->session && rule.gate != Gate::First) {
        client_end(c, End::Lost, "protocol error"); // [MQTT-3.1.0-1]
        return Next::Stop;
    }
    if (rule.gate == Gate::Never)
        return client_refuse(c, Reason::ProtocolError, "protocol error (a packet that only servers send)");
    if (c->session && rule.gate == Gate::First) // [MQTT-3.1.0-2]
        return client_refuse(c, Reason::ProtocolError, "protocol error (a second CONNECT)");
    if (log_wants(LOG_TYPE_DEBUG)) log_packet(c, "Received", head, "from");
    broker_of(c)->stats.packets_in++;
    c->last_in_ms = static_cast<uint32_t>(conn_net(c->conn)->now_ms);
    Next next = rule.handle(c, head, body);
    if (next == Next::Continue && c->conn->backlog > 4ull * outbox_limit(c)) {
        // It asks and asks, and reads no answer.
        client_end(c, End::Lost, "outgoing buffer full");
        return Next::Stop;
    }
    return next;
}

// ---- what the connection tells ---------------------------------------------

void client_on_open(Conn *conn) {
    Broker *b = broker_of(conn);
    if (b->is_stopping || conn->listener->closed) {
        conn_abort(conn);
        return;
    }
    Client *c = pool_new<Client>(&b->client_pool);
    c->conn = conn;
    conn->user = c;
    c->timer.kind = TIMER_CONNECT;
    wheel_start(&b->wheel, &c->timer, broker_now(b) + b->options->connect_timeout_ms);
    char addr[ADDR_TEXT];
    if (b->options->connection_messages)
        log_notice("New connection from %s on port %u.", addr_text(conn->peer, addr),
                   conn->listener->options.port);
}

void client_on_data(Conn *conn, Bytes in) { cut_packets(static_cast<Client *>(conn->user), in); }

void client_on_drained(Conn *conn) {
    Client *c = static_cast<Client *>(conn->user);
    if (c->session) deliver_more(broker_of(c), c);
}

void client_on_closed(Conn *conn, CloseCause cause) {
    Client *c = static_cast<Client *>(conn->user);
    if (!c) return;
    client_end(c, End::Lost, close_cause_text(cause));
}

void client_on_connect_timeout(Client *c) {
    client_end(c, End::Lost, "no CONNECT in time");
}

void client_watch_keep_alive(Client *c) {
    if (!c->keep_alive_s) return;
    Broker *b = broker_of(c);
    uint64_t allowed = c->keep_alive_s * 1500ull; // [MQTT-3.1.2-22]
    uint32_t idle = static_cast<uint32_t>(broker_now(b)) - c->last_in_ms;
    c->timer.kind = TIMER_KEEP_ALIVE;
    uint64_t left = idle < allowed ? allowed - idle : 0;
    wheel_start(&b->wheel, &c->timer, broker_now(b) + left);
}

void client_on_keep_alive(Client *c) {
    Broker *b = broker_of(c);
    uint32_t idle = static_cast<uint32_t>(broker_now(b)) - c->last_in_ms;
    bool unread = conn_pending(c->conn) != 0;
    if (idle < c->keep_alive_s * 1500ull) return client_watch_keep_alive(c);
    if (unread) { // it did speak: we have not listened yet
        wheel_start(&b->wheel, &c->timer, broker_now(b) + 1000);
        return;
    }
    client_refuse(c, Reason::KeepAliveTimeout, "exceeded timeout");
}

// ---- the end ---------------------------------------------------------------

static void log_end(const Client *c, End end, const char *why) {
    Broker *b = broker_of(c);
    if (!b->options->connection_messages) return;
    char who[CLIENT_TEXT];
    client_text(c, who);
    if (end == End::TakenOver || end == End::Replaced)
        log_notice("Client %s disconnected: session taken over.", who);
    else if (why && *why)
        log_notice("Client %s disconnected: %s.", who, why);
    else
        log_notice("Client %s disconnected.", who);
}

// WS-71 to WS-79.
static WsClose ws_close_code(End end, Reason refusal) {
    if (end == End::Disconnect) return WsClose::Normal;
    if (end == End::Stopping) return WsClose::GoingAway;
    if (refusal == Reason::PacketTooLarge) return WsClose::TooBig;
    if (refusal == Reason::MalformedPacket || refusal == Reason::ProtocolError)
        return WsClose::ProtocolError;
    return WsClose::PolicyViolation;
}

static Message *take_will(Client *c, uint32_t *delay_s) {
    if (!c->extra) return nullptr;
    *delay_s = c->extra->will_delay_s;
    Message *will = c->extra->will;
    c->extra->will = nullptr;
    return will;
}

static void free_extra(Broker *b, Client *c) {
    Extra *x = c->extra;
    if (!x) return;
    cut_drop(c);
    x = c->extra;
    if (!x) return;
    if (x->will) message_release(x->will, &b->messages);
    name_release(x->user_name);
    for (Name *n : x->aliases.in) name_release(n);
    for (Name *n : x->aliases.out) name_release(n);
    vec_free(&x->aliases.in);
    vec_free(&x->aliases.out);
    mem_delete(x);
    c->extra = nullptr;
}

// Sends the will, hands it over to the session, or drops it.
static void settle_will(Broker *b, Session *s, End end, Message *will, uint32_t delay_s) {
    bool session_ends = end == End::Replaced || s->expiry_s == 0;
    bool send = will && (delay_s == 0 || session_ends);
    bool drop = end == End::TakenOver && !session_ends;
    if (end == End::Disconnect) {
        if (will) message_release(will, &b->messages);
        will = nullptr;
    } else if (send) {
        publish_will(b, will);
        will = nullptr;
    } else if (will && drop) {
        message_release(will, &b->messages);
        will = nullptr;
    }
    if (end == End::TakenOver || end == End::Replaced) return; // the newcomer's now
    session_park(b, s, will, delay_s);
}

void client_publish_will(Client *c) {
    if (!c->session || !c->extra || !c->extra->will) return;
    if (c->extra->will_delay_s && c->session->expiry_s) return;
    uint32_t delay_s;
    publish_will(broker_of(c), take_will(c, &delay_s));
}

void client_end(Client *c, End end, const char *why) {
    Broker *b = broker_of(c);
    Conn *conn = c->conn;
    Session *s = c->session;
    if (s) log_end(c, end, why);
    else if (b->options->connection_messages && why && *why) {
        char addr[ADDR_TEXT];
        log_notice("Client %s disconnected: %s.", addr_text(conn->peer, addr), why);
    }
    uint32_t delay_s = 0;
    Message *will = take_will(c, &delay_s);
    free_extra(b, c);
    WsClose code = ws_close_code(end, c->refusal);
    wheel_stop(&b->wheel, &c->timer);
    conn->user = nullptr;
    pool_free(c);
    conn_close(conn, code);
    if (s) {
        s->is_online = false;
        s->offline = nullptr;
        b->clients_online--;
        settle_will(b, s, end, will, delay_s);
    }
}

Next client_refuse(Client *c, Reason reason, const char *what) {
    client_send_disconnect(c, reason);
    c->refusal = reason;
    client_end(c, End::Lost, what);
    return Next::Stop;
}

// ---- small things ----------------------------------------------------------

Extra *client_extra(Client *c) {
    if (!c->extra) c->extra = mem_new<Extra>();
    return c->extra;
}

void client_tidy(Client *c) {
    Extra *x = c->extra;
    if (!x || x->partial || x->will || x->user_name || x->aliases.in.size ||
        x->aliases.out.size || x->aliases_out_max)
        return;
    mem_delete(x);
    c->extra = nullptr;
}

Bytes client_id(const Client *c) {
    return c->session ? session_id(c->session) : Bytes("(null)");
}

const char *client_text(const Client *c, char out[CLIENT_TEXT]) {
    char addr[ADDR_TEXT];
    Bytes id = client_id(c);
    snprintf(out, CLIENT_TEXT, "%.*s [%s]", id.size() > 80 ? 80 : static_cast<int>(id.size()),
             id.data(), addr_text(c->conn->peer, addr));
    return out;
}

void client_send(Client *c, Bytes packet) {
    if (log_wants(LOG_TYPE_DEBUG))
        log_packet(c, "Sending", static_cast<uint8_t>(packet[0]), "to");
    broker_of(c)->stats.packets_out++;
    conn_send(c->conn, packet);
}

void client_send_disconnect(Client *c, Reason reason) {
    if (!c->session || !(c->caps & CAP_REASONS)) return;
    char buffer[ENCODE_MAX];
    Writer w{buffer, buffer + sizeof buffer};
    disconnect_encode(&w, reason, Bytes());
    client_send(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
}

void client_promise(Client *c, Bytes packet) { client_send(c, packet); }
