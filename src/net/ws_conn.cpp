#include "net/ws_conn.h"

#include "net/conn.h"
#include "net/outbox.h"
#include "net/upgrade.h"

void ws_create(Conn *c) {
    auto *h = mem_new<WsHandshake>();
    h->conn = c;
    h->timer.kind = TIMER_HANDSHAKE;
    wheel_start(&conn_net(c)->wheel, &h->timer,
                conn_net(c)->now_ms + conn_net(c)->options.handshake_timeout_ms);
    c->ws = pool_new<Ws>(&conn_net(c)->sockets_ws);
    c->ws->handshake = h;
}

void ws_end_handshake(Conn *c) {
    WsHandshake *h = c->ws->handshake;
    if (!h) return;
    wheel_stop(&conn_net(c)->wheel, &h->timer);
    mem_free(h->head);
    mem_free(h);
    c->ws->handshake = nullptr;
}

void ws_free(Conn *c) {
    if (!c->ws) return;
    ws_end_handshake(c);
    mem_free(c->ws->extra);
    pool_free(c->ws);
    c->ws = nullptr;
}

// ---- the HTTP upgrade ------------------------------------------------------

// Appends what goes out as it is, without a frame's header.
static void send_plain(Conn *c, Bytes v) {
    if (!outbox_append(c, v)) return conn_die(c, CloseCause::NoMemory);
    c->ws->frame_left = c->backlog;
    conn_mark_dirty(c);
}

static void refuse(Conn *c, const Upgrade *u, UpgradeVerdict verdict) {
    char answer[UPGRADE_ANSWER_MAX];
    size_t size = verdict.status ? upgrade_answer(u, verdict.status, answer) : 0;
    if (size) send_plain(c, Bytes(answer, size));
    bool is_page = verdict.status == 200; // asked for and served: nothing to report
    conn_refuse(c, CloseCause::BadRequest, is_page ? nullptr : verdict.why);
}

static void judge_home(Conn *c, const Upgrade &u) {
    if (c->home != Home::Yes) return;
    WebRequest r;
    r.host = u.host;
    r.origin = u.origin;
    r.has_host = u.hosts > 0;
    r.has_origin = u.origins > 0;
    r.has_forwarding = u.has_forwarding;
    const Vec<Bytes> &allowed = c->listener->options.websockets_origins;
    c->home = neighbours_judge_web(conn_net(c)->neighbours, c->peer, r, allowed);
}

static void decide(Conn *c, Bytes head) {
    Upgrade u;
    upgrade_read(head, &u);
    UpgradeVerdict v = upgrade_judge(u, c->listener->options.websockets_origins);
    if (v.status != 101) return refuse(c, &u, v);
    char answer[UPGRADE_ANSWER_MAX];
    size_t size = upgrade_answer(&u, 101, answer);
    if (!size) return refuse(c, nullptr, {500, "no SHA-1"});
    judge_home(c, u);
    send_plain(c, Bytes(answer, size));
    if (c->state & CONN_DEAD) return;
    c->ws->flags |= WS_UPGRADED;
    c->state |= CONN_OPEN;
    conn_net(c)->events.on_open(c);
}

// Keeps what has come in: the head is not complete. Grows with what was really
// received, up to HTTP_HEAD_MAX.
static void keep_head(WsHandshake *h, const char *data, uint32_t n) {
    if (h->size + n > h->capacity) {
        uint32_t capacity = h->capacity ? h->capacity : 512;
        while (capacity < h->size + n) capacity *= 2;
        h->head = static_cast<char *>(mem_resize(h->head, capacity));
        h->capacity = capacity;
    }
    memcpy(h->head + h->size, data, n);
    h->size += n;
}

// Takes input until the head is complete; returns how many bytes belonged to
// it. A head that comes in one piece is never copied.
static size_t take_head(Conn *c, const char *data, size_t size) {
    WsHandshake *h = c->ws->handshake;
    uint32_t before = h->size, room = HTTP_HEAD_MAX - before;
    uint32_t n = size < room ? static_cast<uint32_t>(size) : room;
    Bytes head(data, n);
    if (before) {
        keep_head(h, data, n);
        head = Bytes(h->head, h->size);
    }
    HttpResult r = http_feed(&h->parser, head);
    if (r == HttpResult::More) {
        if (!before) keep_head(h, data, n);
        return n;
    }
    uint32_t at = h->parser.at;
    if (r == HttpResult::Done) decide(c, slice(head, 0, at));
    else refuse(c, nullptr, upgrade_judge_broken(r));
    ws_end_handshake(c);
    return at - before;
}

// ---- frames ----------------------------------------------------------------

static void on_ping(Conn *c) {
    WsExtra *x = c->ws->extra;
    x->pong_size = x->control_size; // the latest one only (WS-60)
    memcpy(x->pong, x->control, x->control_size);
    c->ws->flags |= WS_PONG_DUE;
    if (!conn_blocked(c)) conn_mark_dirty(c);
}

static void on_close(Conn *c) {
    WsExtra *x = c->ws->extra;
    WsCloseAnswer a = ws_judge_close(Bytes(x->control, x->control_size));
    CloseCause cause = a.is_valid ? CloseCause::PeerClosed : CloseCause::BadWebSocket;
    conn_end(c, cause, a.code);
}

static void take_control(Conn *c, const WsEvent &e) {
    Ws *ws = c->ws;
    if (!ws->extra) ws->extra = mem_new<WsExtra>();
    WsExtra *x = ws->extra;
    if (e.step == WsStep::Control) { // fits: the parser allows WS_CONTROL_MAX
        memcpy(x->control + x->control_size, e.piece.data(), e.piece.size());
        x->control_size = static_cast<uint8_t>(x->control_size + e.piece.size());
        return;
    }
    if (e.opcode == WsFrameType::Ping) on_ping(c);
    if (e.opcode == WsFrameType::Close) on_close(c);
    x->control_size = 0;
    ws_tidy(ws);
}

// The binary payload of one read, put together so that the owner gets it in
// one piece: the first stays where it is, later ones are moved up to it.
struct Gathered {
    char *data = nullptr;
    size_t size = 0;
};

static void gather(Gathered *g, Bytes piece) {
    if (!g->size) g->data = const_cast<char *>(piece.data());
    else memmove(g->data + g->size, piece.data(), piece.size());
    g->size += piece.size();
}

// Hands over what was gathered; false if the owner has closed.
static bool hand_over(Conn *c, Gathered *g) {
    if (g->size) conn_net(c)->events.on_data(c, Bytes(g->data, g->size));
    *g = Gathered();
    return !conn_closing(c);
}

static void take_frames(Conn *c, char *at, char *end) {
    Gathered g;
    for (;;) {
        WsEvent e = ws_next(&c->ws->parser, &at, end);
        if (e.step == WsStep::Data) {
            gather(&g, e.piece);
            continue;
        }
        bool is_end = e.step == WsStep::More || e.step == WsStep::Failed ||
                      (e.step == WsStep::ControlEnd && e.opcode == WsFrameType::Close);
        // What came before an end was sent in good faith: it counts.
        if (is_end && !hand_over(c, &g)) return;
        if (e.step == WsStep::More) return;
        if (e.step == WsStep::Failed) return conn_end(c, CloseCause::BadWebSocket, e.code);
        take_control(c, e);
        if (conn_closing(c)) return; // WS-63: nothing behind a Close counts
    }
}

void ws_on_input(Conn *c, char *data, size_t size) {
    size_t used = c->ws->handshake ? take_head(c, data, size) : 0;
    if (used == size || !(c->state & CONN_OPEN) || conn_closing(c)) return;
    take_frames(c, data + used, data + size);
}

void ws_queue_close(Conn *c, uint16_t code) {
    Ws *ws = c->ws;
    if (!(ws->flags & WS_UPGRADED)) return;
    ws->close_code = code;
    // No Pong any more: it would come behind the Close, or delay it (WS-68).
    ws->flags = static_cast<uint8_t>((ws->flags & ~WS_PONG_DUE) | WS_CLOSE_DUE);
}
