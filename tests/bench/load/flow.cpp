// flow.cpp -- sending, and checking what arrives.
#include "flow.h"

#include <cstring>
#include <unistd.h>

static void put_stamp(char *at, uint32_t number, uint32_t sequence, uint64_t due) {
    memcpy(at, &number, 4);
    memcpy(at + 4, &sequence, 4);
    memcpy(at + 8, &due, 8);
}

// The last byte tells the sequence, the others their place.
static void put_filler(std::string *payload) {
    for (size_t i = STAMP_SIZE; i < payload->size(); i++) (*payload)[i] = static_cast<char>('A' + i % 53);
}

static bool is_intact(const PublishView &p, uint32_t sequence, uint32_t salt) {
    size_t size = p.payload.size();
    if (size == STAMP_SIZE) return true;
    if (p.payload[size - 1] != static_cast<char>(sequence)) return false;
    for (unsigned i = 0; i < 4 && size > STAMP_SIZE + 1; i++, salt = salt * 69069 + 1) {
        size_t at = STAMP_SIZE + (salt >> 8) % (size - STAMP_SIZE - 1);
        if (p.payload[at] != static_cast<char>('A' + at % 53)) return false;
    }
    return true;
}

static void make_frame(Flow *f, Publisher *p) {
    std::string payload(f->payload_size, '\0');
    put_filler(&payload);
    p->frame.clear();
    put_publish(&p->frame, {.version = f->loop->target.version, .qos = p->qos, .is_retained = p->is_retained, .id = 1},
                p->topic, payload);
    p->stamp_at = p->frame.size() - payload.size();
    p->id_at = p->stamp_at - (f->loop->target.version == Version::V5 ? 1 : 0) - 2;
}

static void make_ready(Flow *f, Publisher *p) {
    if (p->is_ready || p->is_paced) return;
    p->is_ready = true;
    f->ready.push_back(p);
}

// As many as clients usually allow themselves without a word of the broker;
// brokers end or stall connections beyond 20 (max_inflight_messages).
static constexpr uint32_t UNACKED_MAX = 16;

static bool may_send(const Publisher *p) {
    if (p->conn->stage != Stage::Live || p->sent >= p->limit || p->sent - p->done >= p->window) return false;
    uint32_t unacked_max = p->conn->receive_max < UNACKED_MAX ? p->conn->receive_max : UNACKED_MAX;
    return p->qos == 0 || p->sent - p->acked < unacked_max;
}

static void send_one(Flow *f, Publisher *p, uint64_t due) {
    Conn *c = p->conn;
    if (p->name_topic) {
        p->name_topic(p, &p->topic);
        make_frame(f, p);
    }
    size_t begin = packet_begin(c);
    c->out.append(p->frame);
    char *frame = c->out.data() + begin;
    if (p->qos) {
        unsigned id = p->sent % 65535 + 1;
        frame[p->id_at] = static_cast<char>(id >> 8);
        frame[p->id_at + 1] = static_cast<char>(id);
    }
    put_stamp(frame + p->stamp_at, p->number, p->sent, due);
    if (f->payload_size > STAMP_SIZE) frame[p->frame.size() - 1] = static_cast<char>(p->sent);
    packet_end(f->loop, c, begin);
    if (p->receivers && !p->is_paced) p->left[p->sent % p->window] = p->receivers;
    p->sent++;
}

static void send_paced(Flow *f) {
    Pacer *t = &f->pacer;
    if (!t->interval_ns || f->is_stopped) return;
    for (uint64_t now = now_ns(); t->due <= now; t->due += t->interval_ns) {
        send_one(f, t->publishers[t->turn], t->due);
        t->turn = (t->turn + 1) % t->publishers.size();
    }
}

static void on_turn(Loop *l) {
    auto f = static_cast<Flow *>(l->user);
    send_paced(f);
    if (f->ready.empty()) return;
    uint64_t now = now_ns();
    for (Publisher *p : f->ready) {
        p->is_ready = false;
        while (!f->is_stopped && may_send(p)) send_one(f, p, now);
    }
    f->ready.clear();
}

// One receiver less to wait for.
static void message_arrived(Flow *f, Publisher *p, uint32_t sequence) {
    if (sequence < p->done || sequence >= p->sent) return;
    uint32_t *left = &p->left[sequence % p->window];
    if (*left == 0 || --*left > 0) return;
    while (p->done < p->sent && p->left[p->done % p->window] == 0) p->done++;
    make_ready(f, p);
}

// Keeps a stream's account; false for a message that came before.
static bool stream_note(Account *a, Stream *s, uint32_t sequence, bool is_sparse) {
    s->came++;
    if (sequence >= s->next) {
        uint32_t gap = sequence - s->next;
        if (!is_sparse) a->lost += gap;
        s->seen = gap >= 63 ? 1 : s->seen << (gap + 1) | 1;
        s->next = sequence + 1;
        return true;
    }
    uint32_t back = s->next - 1 - sequence;
    if (back < 64 && s->seen >> back & 1) {
        a->duplicates++;
        return false;
    }
    a->disordered++;
    if (!is_sparse && a->lost) a->lost--;
    if (back < 64) s->seen |= uint64_t{1} << back;
    return true;
}

static void on_publish(Loop *l, Conn *c, const PublishView &v) {
    auto f = static_cast<Flow *>(l->user);
    Subscriber *s = c->subscriber;
    uint32_t number, sequence;
    uint64_t due;
    if (!s || v.payload.size() != f->payload_size) { f->account.corrupt++; return; }
    memcpy(&number, v.payload.data(), 4);
    memcpy(&sequence, v.payload.data() + 4, 4);
    memcpy(&due, v.payload.data() + 8, 8);
    if (number < s->first || number - s->first >= s->streams.size() || number >= f->publishers.size() ||
        !is_intact(v, sequence, sequence)) {
        f->account.corrupt++;
        return;
    }
    Stream *stream = &s->streams[number - s->first];
    if (!s->is_counted) {
        f->account.uncounted++;
        stream->came++;
        return;
    }
    if (!stream_note(&f->account, stream, sequence, s->is_sparse)) return;
    f->account.delivered++;
    if (l->now > due) histogram_add(&f->latency, l->now - due);
    Publisher *p = f->publishers[number];
    if (!p->is_paced) message_arrived(f, p, sequence);
}

static void on_ack(Loop *l, Conn *c, uint16_t) {
    Publisher *p = c->publisher;
    if (!p) { l->faults.malformed++; return; }
    p->acked++;
    if (p->receivers == 0) p->done = p->acked;
    make_ready(static_cast<Flow *>(l->user), p);
}

const ConnEvents FLOW_EVENTS = {
    .on_live = nullptr, .on_publish = on_publish, .on_ack = on_ack, .on_closed = nullptr};

void flow_begin(Flow *f, Loop *l, size_t payload_size) {
    f->loop = l;
    f->payload_size = payload_size < STAMP_SIZE ? STAMP_SIZE : payload_size;
    l->user = f;
    l->on_turn = on_turn;
}

void flow_add(Flow *f, Publisher *p) {
    p->number = static_cast<uint32_t>(f->publishers.size());
    p->conn->publisher = p;
    p->conn->events = &FLOW_EVENTS;
    p->left.assign(p->window, 0);
    if (!p->name_topic) make_frame(f, p);
    f->publishers.push_back(p);
}

void flow_add(Flow *f, Subscriber *s) {
    s->conn->subscriber = s;
    s->conn->events = &FLOW_EVENTS;
    f->subscribers.push_back(s);
}

void flow_start(Flow *f) {
    f->is_stopped = false;
    for (Publisher *p : f->publishers) make_ready(f, p);
}

void flow_pace(Flow *f, double per_second) {
    f->pacer.interval_ns = static_cast<uint64_t>(1e9 / per_second);
    f->pacer.due = now_ns();
    f->loop->spins = true;
}

static bool is_drained(const Flow *f) {
    uint64_t expected = 0;
    for (const Publisher *p : f->publishers) {
        if (p->qos && p->acked < p->sent) return false;
        if (p->is_paced) continue;
        if (p->done < p->sent) return false;
    }
    for (const Subscriber *s : f->subscribers)
        for (size_t i = 0; s->is_counted && !s->is_sparse && i < s->streams.size(); i++)
            if (s->streams[i].next < f->publishers[s->first + i]->sent) expected++;
    return expected == 0;
}

// What never came is not a gap that a later message shows.
static void count_missing(Flow *f) {
    for (const Subscriber *s : f->subscribers)
        for (size_t i = 0; s->is_counted && !s->is_sparse && i < s->streams.size(); i++) {
            uint32_t sent = f->publishers[s->first + i]->sent;
            if (s->streams[i].next < sent) f->account.lost += sent - s->streams[i].next;
        }
    for (const Publisher *p : f->publishers) {
        if (p->qos && p->acked < p->sent) f->account.unacknowledged += p->sent - p->acked;
        // Sparse receivers: the window alone tells.
        for (uint32_t i = p->done; i < p->sent && !p->is_paced && !p->left.empty(); i++) {
            bool is_sparse = !f->subscribers.empty() && f->subscribers[0]->is_sparse;
            if (is_sparse) f->account.lost += p->left[i % p->window];
        }
    }
}

void flow_stop(Flow *f, double seconds) {
    f->is_stopped = true;
    f->loop->spins = false;
    loop_until(f->loop, seconds, [&] { return is_drained(f); });
    loop_until(f->loop, 0.05, [] { return false; }); // for what came twice
    count_missing(f);
}

bool flow_is_valid(const Flow *f) {
    const Account &a = f->account;
    const Faults &b = f->loop->faults;
    return a.lost + a.duplicates + a.disordered + a.corrupt + a.unacknowledged == 0 &&
           b.closed + b.refused + b.malformed == 0;
}

void flow_report(const Flow *f, Json *j) {
    const Account &a = f->account;
    const Faults &b = f->loop->faults;
    Json o;
    const struct { const char *name; uint64_t value; } rows[] = {
        {"delivered", a.delivered}, {"lost", a.lost}, {"duplicates", a.duplicates},
        {"disordered", a.disordered}, {"corrupt", a.corrupt}, {"uncounted", a.uncounted},
        {"unacknowledged", a.unacknowledged}, {"closed", b.closed}, {"refused", b.refused},
        {"malformed", b.malformed}};
    for (auto &row : rows) json_number(&o, row.name, static_cast<double>(row.value));
    json_object(j, "account", o);
    json_bool(j, "valid", flow_is_valid(f));
}

Mark flow_mark(const Flow *f) {
    Mark m;
    for (const Publisher *p : f->publishers) m.sent += p->sent;
    m.delivered = f->account.delivered;
    m.broker_ns = cpu_ns(f->loop->target.pid);
    m.own_ns = cpu_ns(getpid());
    m.machine_ns = machine_busy_ns();
    m.at = now_ns();
    return m;
}

void mark_report(const Mark &begin, const Mark &end, Json *j) {
    auto seconds = static_cast<double>(end.at - begin.at) / 1e9;
    auto broker = static_cast<double>(end.broker_ns - begin.broker_ns);
    auto delivered = static_cast<double>(end.delivered - begin.delivered);
    auto sent = static_cast<double>(end.sent - begin.sent);
    json_number(j, "seconds", seconds);
    json_number(j, "published", sent);
    json_number(j, "delivered", delivered);
    json_number(j, "cpu_ns", broker);
    json_number(j, "cpu_ns_per_delivery", delivered > 0 ? broker / delivered : 0);
    json_number(j, "cpu_ns_per_publish", sent > 0 ? broker / sent : 0);
    json_number(j, "deliveries_per_s", delivered / seconds);
    json_number(j, "broker_busy", broker / 1e9 / seconds);
    double others = static_cast<double>(end.machine_ns - begin.machine_ns) - broker -
                    static_cast<double>(end.own_ns - begin.own_ns);
    json_number(j, "others_busy", others > 0 ? others / 1e9 / seconds : 0);
    json_number(j, "generator_busy", static_cast<double>(end.own_ns - begin.own_ns) / 1e9 / seconds);
}
