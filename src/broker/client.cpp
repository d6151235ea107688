// broker/client.cpp -- cutting packets, the gate before the handlers, and the
// one function that ends a connection.
#include "broker/client.h"

#include <stdio.h>

#include "base/log.h"
#include "broker/deliver.h"
#include "broker/publish.h"
#include "broker/session.h"

// Before CONNECT is accepted all such connections together may hold this much
// of unfinished packets; then the one that holds most is closed.
constexpr uint64_t UNAUTHENTICATED_BYTES_MAX = 16 * 1024 * 1024;

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

static uint32_t outbox_limit(const Client *c) {
    uint32_t limit = policy_of(c)->max_outbox_bytes;
    return limit ? limit : (1u << 20) + broker_of(c)->options->max_packet_size;
}

static void log_packet(const Client *c, const char *verb, const char *name, const char *way) {
    char who[CLIENT_TEXT];
    log_line(LOG_TYPE_DEBUG, "%s %s %s %s", verb, name, way, client_text(c, who));
}

static Next dispatch(Client *c, uint8_t head, Bytes body) {
    const PacketRule &rule = RULES[head >> 4];
    if (!c->session && rule.gate != Gate::First) {
        client_end(c, End::Lost, "protocol error"); // [MQTT-3.1.0-1]
        return Next::Stop;
    }
    if (rule.gate == Gate::Never)
        return client_refuse(c, Reason::ProtocolError, "a packet that only servers send");
    if (c->session && rule.gate == Gate::First) // [MQTT-3.1.0-2]
        return client_refuse(c, Reason::ProtocolError, "a second CONNECT");
    if (log_wants(LOG_TYPE_DEBUG) && packet_type(head) != PacketType::Publish)
        log_packet(c, "Received", rule.name, "from");
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

// ---- cutting ---------------------------------------------------------------

static Next refuse_oversize(Client *c) {
    return client_refuse(c, Reason::PacketTooLarge, "oversize packet");
}

// Takes whole packets off the front of `*in`. `*need` gets the size of the
// unfinished one that is left, 2 while its head is unfinished.
static Next take_packets(Client *c, Bytes *in, uint64_t *need) {
    while (!in->empty() && !conn_closing(c->conn)) {
        PacketHead h;
        Cut cut = packet_head_decode(*in, &h);
        if (cut == Cut::Malformed) {
            client_end(c, End::Lost, "malformed packet");
            return Next::Stop;
        }
        if (cut == Cut::NeedMore) {
            *need = 2;
            return Next::Continue;
        }
        *need = static_cast<uint64_t>(h.head_size) + h.body_size;
        if (*need > broker_of(c)->options->max_packet_size) // before the body is there
            return refuse_oversize(c);
        if (in->size() < *need) return Next::Continue;
        Bytes body = slice(*in, h.head_size, h.body_size);
        in->remove_prefix(static_cast<size_t>(*need));
        if (dispatch(c, h.head, body) == Next::Stop) return Next::Stop;
    }
    return Next::Continue;
}

// ---- unfinished packets ----------------------------------------------------

static void drop_partial(Client *c) {
    Extra *x = c->extra;
    if (!x || !x->partial) return;
    if (!c->session) broker_of(c)->unauthenticated_bytes -= x->partial_capacity;
    mem_free(x->partial);
    x->partial = nullptr;
    x->partial_size = x->partial_capacity = 0;
    client_tidy(c);
}

// Room for more before CONNECT: while there is none, whoever holds most goes, so
// that a few who announce much cannot lock others out. False: that is `c`.
static bool make_room(Broker *b, Client *c, uint64_t growth) {
    while (b->unauthenticated_bytes + growth > UNAUTHENTICATED_BYTES_MAX) {
        Client *most = c;
        uint64_t held = c->extra->partial_capacity + growth;
        for (void *p = pool_next(&b->client_pool, nullptr); p; p = pool_next(&b->client_pool, p)) {
            auto *other = static_cast<Client *>(p);
            if (other->session || !other->extra || other->extra->partial_capacity <= held) continue;
            most = other;
            held = other->extra->partial_capacity;
        }
        if (most == c) return false;
        client_end(most, End::Lost, "too much before CONNECT");
    }
    return true;
}

// Room for `more` bytes behind the partial packet, which will have `need` in
// all. Grows with what has come, never with what was announced.
static bool reserve_partial(Client *c, size_t more, uint64_t need) {
    Extra *x = client_extra(c);
    uint64_t wanted = x->partial_size + more;
    if (wanted <= x->partial_capacity) return true;
    uint64_t capacity = wanted < 64 ? 64 : wanted * 2;
    if (capacity > need && need > 64) capacity = need > wanted ? need : wanted;
    Broker *b = broker_of(c);
    uint64_t growth = capacity - x->partial_capacity;
    if (b->options->memory_limit && mem_used() + growth > b->options->memory_limit) return false;
    if (!c->session && !make_room(b, c, growth)) return false;
    char *grown = static_cast<char *>(mem_try(static_cast<size_t>(capacity)));
    if (!grown) return false;
    if (x->partial_size) memcpy(grown, x->partial, x->partial_size);
    mem_free(x->partial);
    x->partial = grown;
    x->partial_capacity = static_cast<uint32_t>(capacity);
    if (!c->session) b->unauthenticated_bytes += growth;
    return true;
}

static Next keep_partial(Client *c, Bytes rest, uint64_t need) {
    if (rest.empty()) return Next::Continue;
    if (!reserve_partial(c, rest.size(), need)) {
        client_end(c, End::Lost, "out of memory for an unfinished packet");
        return Next::Stop;
    }
    Extra *x = c->extra;
    memcpy(x->partial + x->partial_size, rest.data(), rest.size());
    x->partial_size += static_cast<uint32_t>(rest.size());
    return Next::Continue;
}

// Completes the head of the partial packet and then its body from `*in`, byte
// by byte only while the head is unfinished (at most five bytes).
static Next feed_partial(Client *c, Bytes *in) {
    for (;;) {
        Extra *x = c->extra;
        Bytes have(x->partial, x->partial_size);
        PacketHead h;
        Cut cut = packet_head_decode(have, &h);
        uint64_t need = cut == Cut::Whole ? uint64_t{h.head_size} + h.body_size
                                          : have.size() + 1;
        if (cut == Cut::Malformed) {
            client_end(c, End::Lost, "malformed packet");
            return Next::Stop;
        }
        if (cut == Cut::Whole && need > broker_of(c)->options->max_packet_size)
            return refuse_oversize(c);
        if (have.size() < need) {
            if (in->empty()) return Next::Continue;
            Bytes more = slice(*in, 0, static_cast<size_t>(need - have.size()));
            in->remove_prefix(more.size());
            if (keep_partial(c, more, need) == Next::Stop) return Next::Stop;
            continue;
        }
        // Whole: the packet leaves the client before its handler runs, which
        // may end the client.
        char *packet = x->partial;
        if (!c->session) broker_of(c)->unauthenticated_bytes -= x->partial_capacity;
        x->partial = nullptr;
        x->partial_size = x->partial_capacity = 0;
        client_tidy(c);
        Next next = dispatch(c, h.head, Bytes(packet + h.head_size, h.body_size));
        mem_free(packet);
        return next;
    }
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

void client_on_data(Conn *conn, Bytes in) {
    Client *c = static_cast<Client *>(conn->user);
    if (c->extra && c->extra->partial) {
        if (feed_partial(c, &in) == Next::Stop) return;
        if (c->extra && c->extra->partial) return; // still unfinished
    }
    uint64_t need = 0;
    if (take_packets(c, &in, &need) == Next::Stop) return;
    if (!conn_closing(conn)) (void)keep_partial(c, in, need);
}

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
    drop_partial(c);
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
    if (c->session && c->caps & CAP_REASONS) {
        char buffer[ENCODE_MAX];
        Writer w{buffer, buffer + sizeof buffer};
        disconnect_encode(&w, reason, Bytes());
        client_send(c, Bytes(buffer, static_cast<size_t>(w.at - buffer)));
    }
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

const char *client_text(const Client *c, char out[CLIENT_TEXT]) {
    char addr[ADDR_TEXT];
    Bytes id = c->session ? session_id(c->session) : Bytes("(null)");
    snprintf(out, CLIENT_TEXT, "%.*s [%s]", id.size() > 80 ? 80 : static_cast<int>(id.size()),
             id.data(), addr_text(c->conn->peer, addr));
    return out;
}

void client_send(Client *c, Bytes packet) {
    if (log_wants(LOG_TYPE_DEBUG))
        log_packet(c, "Sending", RULES[static_cast<uint8_t>(packet[0]) >> 4].name, "to");
    broker_of(c)->stats.packets_out++;
    conn_send(c->conn, packet);
}

void client_promise(Client *c, Bytes packet) { client_send(c, packet); }
