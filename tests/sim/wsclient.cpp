#include "sim/wsclient.h"

namespace websocket {
std::string ws_request(std::string_view host, std::string_view protocol, std::string_view path) {
    std::string r;
    r.append("GET ").append(path).append(" HTTP/1.1\r\nHost: ").append(host);
    r.append("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    r.append(WS_KEY).append("\r\nSec-WebSocket-Protocol: ").append(protocol);
    r.append("\r\nSec-WebSocket-Version: 13\r\n\r\n");
    return r;
}

static void put_be(std::string *s, uint64_t v, int bytes) {
    while (bytes--) *s += static_cast<char>(v >> (8 * bytes));
}

std::string ws_frame(const WsFrame &f) {
    const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    std::string s;
    size_t n = f.payload.size();
    int form = f.length_form ? f.length_form : n < 126 ? 7 : n < 65536 ? 16 : 64;
    unsigned first = (f.fin ? 0x80u : 0u) | unsigned{f.rsv} << 4 | f.opcode;
    s += static_cast<char>(first);
    unsigned mask = f.masked ? 0x80 : 0;
    s += static_cast<char>(mask | (form == 7 ? static_cast<unsigned>(n) : form == 16 ? 126u : 127u));
    if (form == 16) put_be(&s, n, 2);
    if (form == 64) put_be(&s, n, 8);
    if (!f.masked) return s + f.payload;
    s.append(reinterpret_cast<const char *>(key), 4);
    size_t start = s.size();
    s += f.payload;
    char *p = s.data() + start;
    for (size_t i = 0; i < n; i++) p[i] = static_cast<char>(static_cast<unsigned char>(p[i]) ^ key[i % 4]);
    return s;
}

void WsReader::feed(std::string_view bytes) {
    raw.append(bytes);
    if (!open && !refused) read_head();
    while (open && fault.empty() && read_frame()) continue;
}

void WsReader::read_head() {
    size_t end = raw.find("\r\n\r\n");
    if (end == std::string::npos) return;
    head = raw.substr(0, end + 4);
    raw.erase(0, end + 4);
    open = head.starts_with("HTTP/1.1 101 ");
    refused = !open;
}

// Takes one whole frame off `raw`.
bool WsReader::read_frame() {
    auto at = [this](size_t i) { return static_cast<unsigned char>(raw[i]); };
    if (raw.size() < 2) return false;
    WsFrame f;
    f.fin = at(0) & 0x80;
    f.rsv = at(0) >> 4 & 7;
    f.opcode = at(0) & 15;
    f.masked = at(1) & 0x80;
    uint64_t n = at(1) & 127;
    size_t head_size = n == 126 ? 4 : n == 127 ? 10 : 2;
    f.length_form = n == 126 ? 16 : n == 127 ? 64 : 7;
    if (raw.size() < head_size) return false;
    if (head_size > 2) n = 0;
    for (size_t i = 2; i < head_size; i++) n = n << 8 | at(i);
    if (f.masked) {
        fault = "the server masks";
        return false;
    }
    if (raw.size() - head_size < n) return false;
    f.payload = raw.substr(head_size, n);
    raw.erase(0, head_size + n);
    judge(f);
    if (f.opcode == WS_CLOSE) {
        close_received = true;
        if (n >= 2)
            close_code = static_cast<unsigned char>(f.payload[0]) << 8 |
                         static_cast<unsigned char>(f.payload[1]);
    }
    frames.push_back(std::move(f));
    return true;
}

void WsReader::judge(const WsFrame &f) {
    size_t n = f.payload.size();
    if (close_received) fault = "a frame behind Close";
    if (f.rsv) fault = "RSV bits without an extension";
    if (f.length_form == 16 && n < 126) fault = "length not in its shortest form";
    if (f.length_form == 64 && n < 65536) fault = "length not in its shortest form";
    if (f.opcode >= WS_CLOSE) {
        if (f.opcode > WS_PONG) fault = "reserved opcode";
        if (!f.fin || n > 125) fault = "control frame too long or fragmented";
        if (f.opcode == WS_CLOSE && n == 1) fault = "Close of one byte";
        return;
    }
    if (f.opcode == WS_TEXT) fault = "text frame";
    if (f.opcode > WS_BINARY) fault = "reserved opcode";
    if ((f.opcode == WS_CONTINUATION) != fragmented_) fault = "fragments out of order";
    fragmented_ = !f.fin;
}

} // namespace websocket
