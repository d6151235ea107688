// base/bytes.h -- bytes that somebody else owns.
//
// A Bytes is a pointer and a length, nothing more. It is valid as long as its
// owner says so, usually until the end of the call that handed it over. The
// helpers below never throw and pull in no library (std::string_view::substr
// does both).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <string_view>

using Bytes = std::string_view;

// The part of `v` from byte `from` on; empty when `from` lies beyond the end.
inline Bytes slice(Bytes v, size_t from) {
    return from < v.size() ? Bytes(v.data() + from, v.size() - from) : Bytes();
}

// At most `n` bytes of `v` from byte `from` on.
inline Bytes slice(Bytes v, size_t from, size_t n) {
    Bytes rest = slice(v, from);
    return Bytes(rest.data(), n < rest.size() ? n : rest.size());
}

inline bool starts_with(Bytes v, Bytes prefix) {
    return v.size() >= prefix.size() &&
           (prefix.empty() || memcmp(v.data(), prefix.data(), prefix.size()) == 0);
}

inline char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// Equal without regard to the case of ASCII letters.
inline bool equal_nocase(Bytes a, Bytes b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    return true;
}

// `v` without blanks and tabs (and CR) at both ends.
Bytes trim(Bytes v);

// Cuts the next piece off the front of `*v` at `separator` and returns it.
// The last piece is what is left; afterwards `*v` is empty with a null data().
//
//     while (line.data()) use(cut(&line, ' '));
Bytes cut(Bytes *v, char separator);

// Parses a decimal number of the whole of `v`. False when `v` is empty, holds
// anything but digits (one leading '-' is allowed), or does not fit.
[[nodiscard]] bool parse_int(Bytes v, int64_t *out);
