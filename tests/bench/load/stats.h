// stats.h -- what is measured: the broker's processor time and memory, seen
// from outside, and latencies.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

uint64_t now_ns();          // CLOCK_MONOTONIC

// Latencies in nanoseconds: 64 steps for each power of two, so within 1.6 %.
struct Histogram {
    static constexpr unsigned STEPS = 64;
    std::vector<uint32_t> slots = std::vector<uint32_t>(STEPS * 60);
    uint64_t count = 0;
    uint64_t max = 0;
};
void histogram_add(Histogram *h, uint64_t ns);
void histogram_clear(Histogram *h);
uint64_t histogram_at(const Histogram *h, double share); // share 0.5: the median

// Processor time a process used so far, all its threads, from the scheduler's
// own count (the sum of /proc/PID/task/*/schedstat, and what threads that are
// gone used), brought up to date at the moment of asking. 0 without a process.
uint64_t cpu_ns(pid_t pid);

// Time that all processors together spent on anything, other guests of the
// hypervisor included; in steps of 10 ms.
uint64_t machine_busy_ns();

// From /proc/PID/smaps_rollup, in bytes.
struct Memory {
    uint64_t rss = 0;
    uint64_t anonymous = 0;
    uint64_t private_dirty = 0;
};
Memory memory_now(pid_t pid);

// Waits (without serving any connection) until the figure stays as it is for
// 200 ms, 3 s at most, and gives it.
Memory memory_settled(pid_t pid);

uint64_t rss_now(pid_t pid); // from statm, cheap

// Collects a flat JSON object; nested ones are collected apart and added.
struct Json {
    std::string text;
};
void json_number(Json *j, const char *key, double value);
void json_text(Json *j, const char *key, const std::string &value);
void json_bool(Json *j, const char *key, bool value);
void json_object(Json *j, const char *key, const Json &value);
void json_memory(Json *j, const char *key, const Memory &m);
void json_latency(Json *j, const char *key, const Histogram &h);
