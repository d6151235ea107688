// config/values.cpp -- values: read, checked, stored.
#include <errno.h>
#include <stdlib.h>

#include "config/draft.h"
#include "mqtt/utf8.h"

bool fail_value(Reader *r, const char *name, Bytes value) {
    return fail(r, "Invalid '%s' value (%.*s).", name, LOG_BYTES(slice(value, 0, 120)));
}

bool fail_choice(Reader *r, const char *name, Bytes value, const char *choices) {
    return fail(r, "Invalid '%s' value (%.*s). Possible are: %s.", name,
                LOG_BYTES(slice(value, 0, 120)), choices);
}

bool take_bool(Reader *r, const char *name, Bytes value, bool *out) {
    if (value == "true" || value == "1") return *out = true;
    if (value != "false" && value != "0") return fail_choice(r, name, value, "true, false");
    *out = false;
    return true;
}

// What follows the number behind a blank is nobody's business.
bool take_number(Reader *r, const char *name, Bytes value, int64_t *out) {
    char text[32] = "";
    Bytes word = cut(&value, ' ');
    if (word.size() >= sizeof text) return fail_value(r, name, word);
    memcpy(text, word.data(), word.size());

    char *end = nullptr;
    errno = 0;
    *out = strtoll(text, &end, 0);
    if (end == text || *end) return fail(r, "'%s' value not a number.", name);
    if (errno == ERANGE) return fail_value(r, name, word);
    return true;
}

bool take_text(Reader *r, const char *name, Bytes value, char *out, size_t size) {
    if (value.size() >= size)
        return fail(r, "The '%s' value is too long (%zu bytes, at most %zu are possible).",
                    name, value.size(), size - 1);
    memset(out, 0, size); // so that a reload can compare the whole field
    if (!value.empty()) memcpy(out, value.data(), value.size());
    return true;
}

template <class T> static void put(void *at, int64_t n) {
    T value = static_cast<T>(n);
    memcpy(at, &value, sizeof value);
}

static void store(void *at, size_t size, int64_t n) {
    switch (size) {
    case 1: return put<int8_t>(at, n);
    case 2: return put<int16_t>(at, n);
    case 4: return put<int32_t>(at, n);
    case 8: return put<int64_t>(at, n);
    }
}

static bool fail_range(Reader *r, const Option &o, int64_t n) {
    if (o.wrong) return fail(r, "%s", o.wrong);
    return fail(r, "Invalid '%s' value (%lld).", o.name, static_cast<long long>(n));
}

static bool store_number(Reader *r, const Option &o, Bytes value, void *at) {
    int64_t n = 0;
    if (!take_number(r, o.name, value, &n)) return false;
    if (n < o.min && o.flags & CLAMPS) n = o.min;
    if (n < o.min || n > o.max) return fail_range(r, o, n);
    if (n > 0) n *= o.scale; // -1 stands for "no limit" in any unit
    store(at, o.size, n);
    return true;
}

static bool store_text(Reader *r, const Option &o, Bytes value, void *at) {
    // Mosquitto has a sentence of its own for this one.
    if (o.wrong && value.size() >= o.size) return fail(r, "%s", o.wrong);
    return take_text(r, o.name, value, static_cast<char *>(at), o.size);
}

bool take_value(Reader *r, const Option &o, Bytes value, void *base) {
    void *at = static_cast<char *>(base) + o.offset;
    switch (o.kind) {
    case Kind::Bool: return take_bool(r, o.name, value, static_cast<bool *>(at));
    case Kind::Number: return store_number(r, o, value, at);
    case Kind::Text: return store_text(r, o, value, at);
    case Kind::Special: return o.set(r, o, value, base);
    }
    return false;
}
