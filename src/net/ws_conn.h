// net/ws_conn.h -- a connection that speaks WebSocket; private to net/.
//
// Towards the peer, all bytes that wait when a flush begins become one frame:
//
//     | Pong, if due | header | the outbox as it is now ...   | Close, if due |
//                             |<-------- frame_left --------->|
//
// What is written only in part is remembered: the payload as frame_left, the
// rest of a header or control frame in WsExtra. The HTTP answer goes out the
// same way: as a frame without a header.
#pragma once

#include "net/http.h"
#include "net/net.h"
#include "net/websocket.h"

// Bits of Ws::flags.
constexpr uint8_t WS_UPGRADED = 1;   // the 101 is in the outbox or out
constexpr uint8_t WS_PONG_DUE = 2;   // WsExtra::pong is to be sent
constexpr uint8_t WS_CLOSE_DUE = 4;  // close_code is to be sent behind the outbox

constexpr uint32_t WS_CONTROL_FRAME_MAX = 2 + WS_CONTROL_MAX;
constexpr uint32_t WS_PREFIX_MAX = WS_CONTROL_FRAME_MAX + WS_FRAME_HEAD_MAX;

// What few connections need, and for a moment only.
struct WsExtra {
    char rest[WS_PREFIX_MAX];    // of headers: written in part
    uint8_t rest_begin, rest_end; // what of it must still go out, before all else
    uint8_t pong_size;
    uint8_t control_size;        // bytes so far of a control frame that comes in
    char pong[WS_CONTROL_MAX];   // payload of the latest ping
    char control[WS_CONTROL_MAX];
};

// Lives from accept to the end of the HTTP upgrade.
struct WsHandshake {
    Timer timer;          // first
    Conn *conn;
    HttpParser parser;
    uint32_t size;        // bytes in `head`
    uint32_t capacity;
    char *head;           // what came in so far; null if nothing is kept
};

struct Ws {
    WsParser parser;
    uint32_t frame_left = 0; // bytes at the front of the outbox that need no header
    uint16_t close_code = 0;
    uint8_t flags = 0;
    uint8_t reserved = 0;
    WsExtra *extra = nullptr;
    WsHandshake *handshake = nullptr; // null once on_open was called or it is refused
};
static_assert(sizeof(Ws) <= 40);

void ws_create(Conn *); // and starts the handshake's timer
void ws_free(Conn *);
void ws_end_handshake(Conn *);
void ws_on_input(Conn *, char *data, size_t size);
// A Close frame is to follow what is in the outbox.
void ws_queue_close(Conn *, uint16_t code);

bool ws_has_output(const Ws *);
// What comes in front of the outbox in the next write, and how many bytes of
// the outbox may follow.
struct WsPrefix {
    const char *bytes;
    uint32_t size;
    uint32_t frame;   // payload bytes that may follow
    uint8_t includes; // WS_PONG_DUE, WS_CLOSE_DUE: frames that are in it
    char made[WS_PREFIX_MAX];
};
void ws_prefix(const Conn *, WsPrefix *);
// `n` bytes were written, n > 0; returns how many of them were the outbox's.
uint32_t ws_written(Conn *, const WsPrefix *, size_t n);
// Frees the extra if it holds nothing.
void ws_tidy(Ws *);
