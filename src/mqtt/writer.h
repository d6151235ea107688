// mqtt/writer.h -- putting numbers and texts into a Writer.
//
// The caller of an encoder has made enough room; that it did is asserted.
#pragma once

#include <assert.h>

#include "mqtt/encode.h"

constexpr size_t TEXT_MAX = 65535;

inline size_t varint_size(uint64_t v) {
    return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4;
}

// The part of a text that fits behind a two-byte length.
inline Bytes cut_text(Bytes v) { return slice(v, 0, TEXT_MAX); }

inline void put_bytes(Writer *w, Bytes v) {
    assert(static_cast<size_t>(w->end - w->at) >= v.size());
    if (v.empty()) return; // memcpy must not be given a null pointer
    memcpy(w->at, v.data(), v.size());
    w->at += v.size();
}

inline void put_u8(Writer *w, unsigned v) {
    assert(w->at < w->end);
    *w->at++ = static_cast<char>(v);
}

inline void put_u16(Writer *w, unsigned v) {
    put_u8(w, v >> 8);
    put_u8(w, v & 0xFF);
}

inline void put_u32(Writer *w, uint32_t v) {
    put_u16(w, v >> 16);
    put_u16(w, v & 0xFFFF);
}

inline void put_varint(Writer *w, uint32_t v) {
    for (; v >= 128; v >>= 7) put_u8(w, (v & 0x7F) | 0x80);
    put_u8(w, v);
}

inline void put_text(Writer *w, Bytes v) {
    v = cut_text(v);
    put_u16(w, static_cast<unsigned>(v.size()));
    put_bytes(w, v);
}

// The fixed header: first byte and remaining length.
inline void put_head(Writer *w, PacketType type, unsigned flags, size_t body_size) {
    assert(body_size <= VARINT_MAX);
    put_u8(w, static_cast<unsigned>(type) << 4 | flags);
    put_varint(w, static_cast<uint32_t>(body_size));
}
