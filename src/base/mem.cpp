#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

// Atomic, since the helper threads allocate too.
static std::atomic<size_t> used_bytes;
static std::atomic<size_t> peak_bytes;
static std::atomic<size_t> recent_peak_bytes; // since mem_take_recent_peak
static std::atomic<uint32_t> tries_left; // mem_try calls until one fails; 0: off

static void raise(std::atomic<size_t> *peak, size_t now) {
    size_t was = peak->load(std::memory_order_relaxed);
    while (now > was && !peak->compare_exchange_weak(was, now, std::memory_order_relaxed)) {}
}

static void add(size_t size) {
    size_t now = used_bytes.fetch_add(size, std::memory_order_relaxed) + size;
    raise(&recent_peak_bytes, now);
}

static void *count(void *p) {
    if (p) add(malloc_usable_size(p));
    return p;
}

static void uncount(size_t size) {
    used_bytes.fetch_sub(size, std::memory_order_relaxed);
}

// Not through the log: that might want memory.
void mem_give_up() {
    static const char text[] = "out of memory\n";
    [[maybe_unused]] ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    abort();
}

static void *insist(void *p) {
    if (!p) mem_give_up();
    return p;
}

void mem_count(ptrdiff_t bytes) {
    if (bytes > 0) add(static_cast<size_t>(bytes));
    else uncount(static_cast<size_t>(-bytes));
}

void *mem_alloc(size_t size) { return insist(count(malloc(size ? size : 1))); }

void *mem_zero(size_t size) { return insist(count(calloc(1, size ? size : 1))); }

void *mem_resize(void *p, size_t size) {
    size_t before = p ? malloc_usable_size(p) : 0;
    p = insist(realloc(p, size ? size : 1));
    uncount(before);
    return count(p);
}

void *mem_try(size_t size) {
    uint32_t left = tries_left.load(std::memory_order_relaxed);
    if (left) {
        tries_left.store(left - 1, std::memory_order_relaxed);
        if (left == 1) return nullptr;
    }
    return count(malloc(size ? size : 1));
}

void mem_free(void *p) {
    if (!p) return;
    uncount(malloc_usable_size(p));
    free(p);
}

size_t mem_used() { return used_bytes.load(std::memory_order_relaxed); }

size_t mem_peak() {
    raise(&peak_bytes, recent_peak_bytes.load(std::memory_order_relaxed));
    return peak_bytes.load(std::memory_order_relaxed);
}

size_t mem_take_recent_peak() {
    (void)mem_peak();
    return recent_peak_bytes.exchange(mem_used(), std::memory_order_relaxed);
}

void mem_setup() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 * 1024);
    // Outboxes come and go with every turn: that must not move the heap's end
    // each time. What a burst leaves is given back by mem_trim.
    mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
    mallopt(M_TOP_PAD, 64 * 1024);
    mallopt(M_ARENA_MAX, 1);
#endif
}

void mem_trim() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void mem_fail_after(uint32_t n) {
    tries_left.store(n, std::memory_order_relaxed);
}
