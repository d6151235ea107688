#include "net/ws_conn.h"

static uint32_t rest_size(const Ws *ws) {
    if (!ws->extra) return 0;
    return static_cast<uint32_t>(ws->extra->rest_end - ws->extra->rest_begin);
}

bool ws_has_output(const Ws *ws) {
    return rest_size(ws) || (ws->flags & (WS_PONG_DUE | WS_CLOSE_DUE));
}

static void add_pong(const Ws *ws, WsPrefix *p) {
    p->size = ws_frame_head(p->made, WsFrameType::Pong, ws->extra->pong_size);
    memcpy(p->made + p->size, ws->extra->pong, ws->extra->pong_size);
    p->size += ws->extra->pong_size;
    p->includes |= WS_PONG_DUE;
}

static void add_close(const Ws *ws, WsPrefix *p) {
    char *out = p->made + p->size;
    uint32_t head = ws_frame_head(out, WsFrameType::Close, 2);
    out[head] = static_cast<char>(ws->close_code >> 8);
    out[head + 1] = static_cast<char>(ws->close_code);
    p->size += head + 2;
    p->includes |= WS_CLOSE_DUE;
}

void ws_prefix(const Conn *c, WsPrefix *p) {
    const Ws *ws = c->ws;
    p->bytes = p->made;
    p->size = 0;
    p->frame = ws->frame_left;
    p->includes = 0;
    if (uint32_t rest = rest_size(ws)) {
        p->bytes = ws->extra->rest + ws->extra->rest_begin;
        p->size = rest;
        return;
    }
    if (ws->frame_left) return; // in the middle of a frame
    if (ws->flags & WS_PONG_DUE) add_pong(ws, p);
    if (c->backlog) {
        p->size += ws_frame_head(p->made + p->size, WsFrameType::Binary, c->backlog);
        p->frame = c->backlog;
    } else if (ws->flags & WS_CLOSE_DUE) {
        add_close(ws, p);
    }
}

// Remembers what of the prefix is not out yet: it must come before all else.
static void keep_rest(Ws *ws, const WsPrefix *p, uint32_t n) {
    if (p->bytes != p->made) {
        ws->extra->rest_begin = static_cast<uint8_t>(ws->extra->rest_begin + n);
        return;
    }
    if (!ws->extra) ws->extra = mem_new<WsExtra>();
    memcpy(ws->extra->rest, p->bytes + n, p->size - n);
    ws->extra->rest_begin = 0;
    ws->extra->rest_end = static_cast<uint8_t>(p->size - n);
}

uint32_t ws_written(Conn *c, const WsPrefix *p, size_t written) {
    Ws *ws = c->ws;
    auto n = static_cast<uint32_t>(written);
    ws->flags = static_cast<uint8_t>(ws->flags & ~p->includes);
    if (n < p->size) {
        keep_rest(ws, p, n);
        ws->frame_left = p->frame;
        return 0;
    }
    if (ws->extra) ws->extra->rest_begin = ws->extra->rest_end = 0;
    ws->frame_left = p->frame - (n - p->size);
    ws_tidy(ws);
    return n - p->size;
}

void ws_tidy(Ws *ws) {
    if (!ws->extra || ws->extra->control_size || ws_has_output(ws)) return;
    mem_free(ws->extra);
    ws->extra = nullptr;
}
