// config/table.cpp -- looking up options.
#include "config/table.h"

#include <assert.h>
#include <stdlib.h>

#include <algorithm>

#include "config/config.h"

static const std::span<const Option> *const GROUPS[] = {
    &OPTIONS_GENERAL, &OPTIONS_LOG,    &OPTIONS_LISTENER, &OPTIONS_TLS,
    &OPTIONS_STORE,   &OPTIONS_BRIDGE, &OPTIONS_PLUGIN,
};

int option_count() {
    size_t n = 0;
    for (auto *group : GROUPS) n += group->size();
    assert(n <= OPTIONS_MAX);
    return static_cast<int>(n);
}

const Option &option_at(int id) {
    size_t i = static_cast<size_t>(id);
    for (auto *group : GROUPS) {
        if (i < group->size()) return (*group)[i];
        i -= group->size();
    }
    abort();
}

static bool has_name(const Option &o, Bytes name) {
    return o.flags & PREFIX ? starts_with(name, o.name) : name == o.name;
}

int option_find(Bytes name) {
    for (int i = 0, n = option_count(); i < n; i++)
        if (has_name(option_at(i), name)) return i;
    return -1;
}

constexpr size_t NAME_LIMIT = 48; // longer words are not misspelt options

// How many letters must be put in, taken out, changed or swapped with their
// neighbour to make `b` of `a`. O(length²) for lengths up to NAME_LIMIT.
static int distance(Bytes a, Bytes b) {
    uint8_t rows[3][NAME_LIMIT + 1];
    for (size_t j = 0; j <= b.size(); j++) rows[0][j] = static_cast<uint8_t>(j);
    for (size_t i = 1; i <= a.size(); i++) {
        uint8_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = static_cast<uint8_t>(i);
        for (size_t j = 1; j <= b.size(); j++) {
            bool same = ascii_lower(a[i - 1]) == b[j - 1];
            int cost = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + !same});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost = std::min(cost, before[j - 2] + 1);
            now[j] = static_cast<uint8_t>(cost);
        }
    }
    return rows[a.size() % 3][b.size()];
}

const char *option_nearest(Bytes name) {
    if (name.empty() || name.size() > NAME_LIMIT) return nullptr;
    int best = name.size() < 5 ? 2 : name.size() < 9 ? 3 : 4; // must be nearer
    const char *found = nullptr;
    for (int i = 0, n = option_count(); i < n; i++) {
        const Option &o = option_at(i);
        if (o.flags & PREFIX) continue;
        int d = distance(name, o.name);
        if (d < best) best = d, found = o.name;
    }
    return found;
}

const char *scope_text(Scope scope) {
    switch (scope) {
    case Scope::Global: return "global";
    case Scope::Listener: return "listener";
    case Scope::ListenerOrGlobal: return "global or listener";
    case Scope::Bridge: return "bridge";
    case Scope::Plugin: return "plugin";
    }
    return "";
}

void config_each_option(void (*each)(const char *name, const char *scope,
                                     const char *help)) {
    for (int i = 0, n = option_count(); i < n; i++) {
        const Option &o = option_at(i);
        each(o.name, scope_text(o.scope), o.help);
    }
}

void config_each_stuck(const Config *old, const Config *fresh,
                       void (*each)(const char *name)) {
    for (int i = 0, n = option_count(); i < n; i++) {
        const Option &o = option_at(i);
        if (!(o.flags & RESTART) || o.scope != Scope::Global || !o.size) continue;
        auto *a = reinterpret_cast<const char *>(old) + o.offset;
        auto *b = reinterpret_cast<const char *>(fresh) + o.offset;
        if (memcmp(a, b, o.size) != 0) each(o.name);
    }
}
