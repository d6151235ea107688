// mqtt/reader.h -- a cursor over bytes from outside.
//
// Every read is checked against what is left. The first one that does not fit
// clears `ok` and empties the input, and from then on everything yields zero
// or nothing: read all the fields, then look at `ok` once.
#pragma once

#include "base/bytes.h"

struct Reader {
    Bytes in;       // what has not been read yet
    bool ok = true; // false: something did not fit

    explicit Reader(Bytes input) : in(input) {}

    bool at_end() const { return in.empty(); }

    Bytes bytes(size_t n) {
        if (n > in.size()) {
            fail();
            return {};
        }
        Bytes v(in.data(), n);
        in.remove_prefix(n);
        return v;
    }

    uint8_t u8() {
        Bytes v = bytes(1);
        return ok ? byte(v, 0) : uint8_t{0};
    }

    uint16_t u16() {
        Bytes v = bytes(2);
        return ok ? static_cast<uint16_t>(byte(v, 0) << 8 | byte(v, 1)) : uint16_t{0};
    }

    uint32_t u32() {
        uint32_t high = u16();
        return high << 16 | u16();
    }

    // Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
    uint32_t varint() {
        uint32_t value = 0;
        for (unsigned i = 0; i < 4 && ok; i++) {
            uint8_t b = u8();
            value |= (b & 0x7Fu) << (7 * i);
            if (b & 0x80) continue;
            if (b == 0 && i > 0) break;
            return value;
        }
        fail();
        return 0;
    }

    // Two-byte length and as many bytes: a string (unchecked) or binary data.
    Bytes str16() { return bytes(u16()); }

    Bytes rest() { return bytes(in.size()); }

    void fail() {
        ok = false;
        in = {};
    }

  private:
    static uint8_t byte(Bytes v, size_t i) { return static_cast<uint8_t>(v[i]); }
};
