#include "base/bytes.h"

#include <stdint.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

Bytes trim(Bytes v) {
    while (!v.empty() && is_blank(v.front())) v.remove_prefix(1);
    while (!v.empty() && is_blank(v.back())) v.remove_suffix(1);
    return v;
}

Bytes cut(Bytes *v, char separator) {
    const char *begin = v->data();
    size_t size = v->size();
    const void *hit = size ? memchr(begin, separator, size) : nullptr;
    if (!hit) {
        *v = Bytes();
        return Bytes(begin, size);
    }
    auto at = static_cast<size_t>(static_cast<const char *>(hit) - begin);
    *v = Bytes(begin + at + 1, size - at - 1);
    return Bytes(begin, at);
}

bool parse_int(Bytes v, int64_t *out) {
    bool negative = starts_with(v, "-");
    if (negative) v.remove_prefix(1);
    if (v.empty()) return false;
    // Counted downwards: the negative range is the larger one.
    int64_t n = 0;
    for (char c : v) {
        if (c < '0' || c > '9') return false;
        if (__builtin_mul_overflow(n, 10, &n)) return false;
        if (__builtin_sub_overflow(n, c - '0', &n)) return false;
    }
    if (!negative && n == INT64_MIN) return false;
    *out = negative ? n : -n;
    return true;
}
