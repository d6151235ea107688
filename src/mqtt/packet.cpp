// mqtt/packet.cpp -- the fixed header.
#include "mqtt/packet.h"

Cut packet_head_decode(Bytes in, PacketHead *out) {
    uint32_t size = 0;
    for (size_t i = 1; i <= 4; i++) {
        if (i >= in.size()) return Cut::NeedMore;
        uint8_t b = static_cast<uint8_t>(in[i]);
        size |= (b & 0x7Fu) << (7 * (i - 1));
        if (b & 0x80) continue;
        out->head = static_cast<uint8_t>(in[0]);
        out->head_size = static_cast<uint8_t>(i + 1);
        out->body_size = size;
        return Cut::Whole;
    }
    return Cut::Malformed;
}
