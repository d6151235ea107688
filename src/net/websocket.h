// net/websocket.h -- the frames of RFC 6455, seen from a server.
//
// Pure: bytes in, steps out; no I/O, no allocation. The payload is unmasked in
// place and handed on as it arrives: nothing waits for the end of a frame.
//
//     byte 1    FIN, RSV1-3, opcode       a client's frame
//     byte 2    MASK, length 0..125       126: two more bytes, 127: eight more
//     4 bytes   masking key               each payload byte XOR one of these
//     payload
//
// What breaks the rules ends in Failed with the close code to send; the parser
// must not be fed afterwards.
#pragma once

#include "base/bytes.h"

constexpr uint32_t WS_CONTROL_MAX = 125;   // payload of a control frame
constexpr uint32_t WS_FRAME_HEAD_MAX = 10; // of ours, which are not masked
constexpr uint8_t WS_EMPTY_MAX = 100;      // frames in a row without payload (WS-50)

enum class WsFrameType : uint8_t {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
};

// Where the parser is. All zero: before a frame, no message open.
struct WsParser {
    uint64_t left = 0;     // payload bytes to come; in the header: the length so far
    uint8_t mask[4] = {};  // turned, so that [0] is for the next byte
    uint8_t stage = 0;     // which byte of the header comes next
    uint8_t opcode = 0;    // of this frame
    uint8_t flags = 0;     // is a message open?
    uint8_t empties = 0;   // data frames without payload since the last with some
};
static_assert(sizeof(WsParser) == 16);

enum class WsStep : uint8_t {
    More,       // all is consumed
    Data,       // `piece` is payload of a binary message
    Control,    // `piece` is a part of a control frame's payload
    ControlEnd, // the control frame is complete
    Failed,     // close with `code`
};

struct WsEvent {
    WsStep step = WsStep::More;
    WsFrameType opcode = WsFrameType::Binary; // of a control frame
    uint16_t code = 0;                  // 1002, 1003, 1008
    Bytes piece;                        // lies in the input, unmasked
};

// Takes bytes off the front of [*at, end) up to the next event.
WsEvent ws_next(WsParser *, char **at, char *end);

// What to answer to a Close frame with this payload: its code if it may be
// sent, 1000 if there is none, else what is wrong with it: 1002 or 1007.
struct WsCloseAnswer {
    uint16_t code = 0;
    bool is_valid = false;
};
WsCloseAnswer ws_judge_close(Bytes payload);

// Writes the header of an unmasked, unfragmented frame; returns its size.
uint32_t ws_frame_head(char out[WS_FRAME_HEAD_MAX], WsFrameType, uint32_t size);
