// broker/cut.cpp -- whole packets straight out of the receive buffer; only an
// unfinished one is copied aside.
#include "broker/cut.h"

// Before CONNECT is accepted all such connections together may hold this much
// of unfinished packets; then the one that holds most is closed.
constexpr uint64_t UNAUTHENTICATED_BYTES_MAX = 16 * 1024 * 1024;

// ---- whole packets ---------------------------------------------------------

static Next refuse_oversize(Client *c) {
    return client_refuse(c, Reason::PacketTooLarge, "oversize packet");
}

// Takes whole packets off the front of `*in`. `*need` gets the size of the
// unfinished one that is left, 2 while its head is unfinished.
static Next take_packets(Client *c, Bytes *in, uint64_t *need) {
    while (!in->empty() && !conn_closing(c->conn)) {
        if (!c->session && packet_type(static_cast<uint8_t>(in->front())) != PacketType::Connect) {
            client_end(c, End::Lost, "protocol error"); // [MQTT-3.1.0-1]: the first byte tells
            return Next::Stop;
        }
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
        if (client_dispatch(c, h.head, body) == Next::Stop) return Next::Stop;
    }
    return Next::Continue;
}

// ---- unfinished packets ----------------------------------------------------

void cut_drop(Client *c) {
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
        Next next = client_dispatch(c, h.head, Bytes(packet + h.head_size, h.body_size));
        mem_free(packet);
        return next;
    }
}

// ---- both -------------------------------------------------------------------

void cut_packets(Client *c, Bytes in) {
    const Conn *conn = c->conn;
    if (c->extra && c->extra->partial) {
        if (feed_partial(c, &in) == Next::Stop) return;
        if (c->extra && c->extra->partial) return; // still unfinished
    }
    uint64_t need = 0;
    if (take_packets(c, &in, &need) == Next::Stop) return;
    if (!conn_closing(conn)) (void)keep_partial(c, in, need);
}
