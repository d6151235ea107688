// sim/wsclient.h -- the client's side of WebSocket, for tests.
//
// Written from RFC 6455 and not from src/net: two readings of the same text
// find more mistakes than one. Bytes in, bytes out; no socket.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

namespace websocket {
// The RFC's own example, so that no SHA-1 is needed here.
inline constexpr const char *WS_KEY = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr const char *WS_ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

enum WsOpcode : uint8_t {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

// A frame, and the ways to get one wrong.
struct WsFrame {
    uint8_t opcode = WS_BINARY;
    bool fin = true;
    uint8_t rsv = 0;           // 0 to 7
    bool masked = true;
    int length_form = 0;       // 0: the shortest; 7, 16 or 64: that one
    std::string payload;
};

std::string ws_request(std::string_view host, std::string_view protocol = "mqtt",
                       std::string_view path = "/mqtt");
std::string ws_frame(const WsFrame &); // as a client sends it
inline std::string ws_data(std::string_view bytes) {
    WsFrame f;
    f.payload = bytes;
    return ws_frame(f);
}

// Reads what a server sends.
struct WsReader {
    std::string raw;           // not yet understood
    std::string head;          // the HTTP answer's head, with its empty line
    bool open = false;         // the head was a 101
    bool refused = false;      // the head was something else
    bool close_received = false;
    int close_code = 0;        // 0: a Close without one
    std::string fault;         // the server broke a rule; empty: none
    std::vector<WsFrame> frames; // complete frames, in order, for the test to take

    void feed(std::string_view bytes);

private:
    bool fragmented_ = false;
    void read_head();
    bool read_frame();
    void judge(const WsFrame &);
};

} // namespace websocket
