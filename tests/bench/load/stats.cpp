// stats.cpp -- reading clocks and /proc.
#include "stats.h"

#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <unistd.h>

static uint64_t to_ns(const timespec &t) {
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return to_ns(t);
}

uint64_t cpu_ns(pid_t pid) {
    clockid_t clock;
    timespec t;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) return 0;
    return to_ns(t);
}

uint64_t machine_busy_ns() {
    uint64_t user, nice, system, idle, wait, irq, soft, steal;
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return 0;
    int n = fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &user, &nice, &system, &idle, &wait, &irq, &soft, &steal);
    fclose(f);
    if (n != 8) return 0;
    return (user + nice + system + irq + soft + steal) * (1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

// Slot of a value: the first 64 hold one value each, then 64 per doubling.
static size_t slot_of(uint64_t v) {
    if (v < Histogram::STEPS) return v;
    unsigned shift = static_cast<unsigned>(std::bit_width(v)) - 7;
    return (shift + 1) * Histogram::STEPS + (v >> shift) - Histogram::STEPS;
}

static uint64_t slot_top(size_t slot) {
    if (slot < Histogram::STEPS) return slot;
    size_t shift = slot / Histogram::STEPS - 1;
    return ((slot % Histogram::STEPS + Histogram::STEPS + 1) << shift) - 1;
}

void histogram_add(Histogram *h, uint64_t ns) {
    size_t slot = slot_of(ns);
    if (slot >= h->slots.size()) slot = h->slots.size() - 1;
    h->slots[slot]++;
    h->count++;
    if (ns > h->max) h->max = ns;
}

void histogram_clear(Histogram *h) {
    memset(h->slots.data(), 0, h->slots.size() * sizeof h->slots[0]);
    h->count = h->max = 0;
}

uint64_t histogram_at(const Histogram *h, double share) {
    auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(h->count)));
    uint64_t sum = 0;
    for (size_t i = 0; i < h->slots.size(); i++) {
        sum += h->slots[i];
        if (sum >= wanted && sum > 0) return slot_top(i) < h->max ? slot_top(i) : h->max;
    }
    return h->max;
}

Memory memory_now(pid_t pid) {
    Memory m;
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/smaps_rollup", static_cast<int>(pid));
    FILE *f = fopen(line, "r");
    if (!f) return m;
    while (fgets(line, sizeof line, f)) {
        uint64_t kib;
        if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) m.rss = kib * 1024;
        if (sscanf(line, "Anonymous: %" SCNu64, &kib) == 1) m.anonymous = kib * 1024;
        if (sscanf(line, "Private_Dirty: %" SCNu64, &kib) == 1) m.private_dirty = kib * 1024;
    }
    fclose(f);
    return m;
}

Memory memory_settled(pid_t pid) {
    Memory last = memory_now(pid);
    for (unsigned same = 0, tries = 0; same < 2 && tries < 30; tries++) {
        usleep(100'000);
        Memory m = memory_now(pid);
        same = m.anonymous == last.anonymous ? same + 1 : 0;
        last = m;
    }
    return last;
}

uint64_t rss_now(pid_t pid) {
    char path[64];
    uint64_t size = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", static_cast<int>(pid));
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

static void put_key(Json *j, const char *key) {
    if (!j->text.empty()) j->text += ", ";
    j->text.append("\"").append(key).append("\": ");
}

void json_number(Json *j, const char *key, double value) {
    char text[40];
    put_key(j, key);
    if (!std::isfinite(value)) { j->text += "null"; return; }
    snprintf(text, sizeof text, std::fabs(value) < 1e6 && value != std::floor(value) ? "%.4f" : "%.0f", value);
    j->text += text;
}

void json_text(Json *j, const char *key, const std::string &value) {
    put_key(j, key);
    j->text += '"';
    for (char c : value) {
        if (c == '"' || c == '\\') j->text += '\\';
        if (static_cast<unsigned char>(c) >= ' ') j->text += c;
    }
    j->text += '"';
}

void json_bool(Json *j, const char *key, bool value) {
    put_key(j, key);
    j->text += value ? "true" : "false";
}

void json_object(Json *j, const char *key, const Json &value) {
    put_key(j, key);
    j->text.append("{").append(value.text).append("}");
}

void json_memory(Json *j, const char *key, const Memory &m) {
    Json o;
    json_number(&o, "rss", static_cast<double>(m.rss));
    json_number(&o, "anonymous", static_cast<double>(m.anonymous));
    json_number(&o, "private_dirty", static_cast<double>(m.private_dirty));
    json_object(j, key, o);
}

void json_latency(Json *j, const char *key, const Histogram &h) {
    Json o;
    json_number(&o, "count", static_cast<double>(h.count));
    json_number(&o, "p50", static_cast<double>(histogram_at(&h, 0.5)));
    json_number(&o, "p99", static_cast<double>(histogram_at(&h, 0.99)));
    json_number(&o, "p999", static_cast<double>(histogram_at(&h, 0.999)));
    json_number(&o, "max", static_cast<double>(h.max));
    json_object(j, key, o);
}
