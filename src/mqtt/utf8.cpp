// mqtt/utf8.cpp -- what MQTT accepts as text.
#include "mqtt/utf8.h"

static constexpr uint64_t ONES = 0x0101010101010101u;
static constexpr uint64_t HIGH_BITS = 0x8080808080808080u;

// True if each of the eight bytes is printable ASCII, 0x20 to 0x7E.
static bool word_is_plain(uint64_t w) {
    uint64_t above = w & HIGH_BITS;
    uint64_t below_blank = (w - ONES * 0x20) & ~w & HIGH_BITS;
    uint64_t from_del = w ^ (ONES * 0x7F);
    uint64_t is_del = (from_del - ONES) & ~from_del & HIGH_BITS;
    return (above | below_blank | is_del) == 0;
}

static bool code_point_allowed(uint32_t c) {
    if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) return false; // control characters
    if (c >= 0xD800 && c <= 0xDFFF) return false;           // surrogates
    if (c >= 0xFDD0 && c <= 0xFDEF) return false;           // non-characters
    if ((c & 0xFFFE) == 0xFFFE) return false;               // more of them
    return c <= 0x10FFFF;
}

// How many bytes the character at the front of `v` has; 0 when it is bad.
static size_t char_size(Bytes v) {
    static constexpr uint32_t SMALLEST[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = static_cast<uint8_t>(v[0]);
    if (lead < 0x80) return code_point_allowed(lead) ? 1 : 0;
    if (lead < 0xC2 || lead > 0xF4) return 0; // stray, overlong, too large

    size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (v.size() < size) return 0;
    uint32_t c = lead & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        uint8_t next = static_cast<uint8_t>(v[i]);
        if ((next & 0xC0) != 0x80) return 0;
        c = c << 6 | (next & 0x3Fu);
    }
    return c >= SMALLEST[size] && code_point_allowed(c) ? size : 0;
}

bool utf8_valid(Bytes v) {
    while (!v.empty()) {
        uint64_t word;
        while (v.size() >= sizeof word) {
            memcpy(&word, v.data(), sizeof word);
            if (!word_is_plain(word)) break;
            v.remove_prefix(sizeof word);
        }
        // One character, then words again: text is mostly ASCII.
        if (v.empty()) break;
        size_t size = char_size(v);
        if (size == 0) return false;
        v.remove_prefix(size);
    }
    return true;
}
