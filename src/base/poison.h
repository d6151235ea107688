// base/poison.h -- tells the address sanitizer what of our own pages is free;
// nothing at all in other builds.
#pragma once

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define KNUT_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KNUT_POISON 1
#endif
#endif

#ifdef KNUT_POISON
extern "C" void __asan_poison_memory_region(void const volatile *, size_t);
extern "C" void __asan_unpoison_memory_region(void const volatile *, size_t);
inline void poison(const void *p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(const void *p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
inline void poison(const void *, size_t) {}
inline void unpoison(const void *, size_t) {}
#endif
