// base/mem.h -- memory, counted.
//
// All memory of the product comes from here, so that `memory_limit` and
// $SYS/broker/heap count what is really in use. Small allocations of our own
// abort when the system has none left; sizes that a peer chose go through
// mem_try, after the check of the limit that governs them.
//
// The counters are process-wide, like the heap they describe; they and the
// log's and clock's state are the only mutable globals.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <new>
#include <utility>

// Never null: aborts with a message when the system refuses. Contents are
// undefined (mem_alloc) or zero (mem_zero). Free with mem_free.
[[nodiscard]] void *mem_alloc(size_t size);
[[nodiscard]] void *mem_zero(size_t size);
[[nodiscard]] void *mem_resize(void *p, size_t size);

// Null when the system refuses or an injected failure is due (mem_fail_after).
[[nodiscard]] void *mem_try(size_t size);

// For memory that does not come from malloc (pages.cpp): adds to what is in
// use, and ends the process when there is none left.
void mem_count(ptrdiff_t bytes);
[[noreturn]] void mem_give_up();

// Null is allowed.
void mem_free(void *p);

// Bytes in use now, and the most there ever were, including the allocator's
// rounding.
size_t mem_used();
size_t mem_peak();

// To be called first of all: tells the allocator to give large blocks back to
// the system as soon as they are free, so that tables that have grown leave no
// holes behind.
void mem_setup();

// The most in use since the last call of this.
size_t mem_take_recent_peak();

// Gives pages that hold nothing any more back to the system (malloc_trim).
// Costs up to milliseconds: call it seldom.
void mem_trim();

// Tests only: makes the n-th mem_try from now on fail (0: none).
void mem_fail_after(uint32_t n);

// One zeroed object of a plain struct, its default member initialisers
// applied; end it with mem_delete. Destructors of members run.
template <class T, class... Args> [[nodiscard]] T *mem_new(Args &&...args) {
    return new (mem_zero(sizeof(T))) T{std::forward<Args>(args)...};
}
template <class T> void mem_delete(T *p) {
    if (!p) return;
    p->~T();
    mem_free(p);
}
