// base/pages.h -- 4 KiB pages, aligned to 4 KiB, straight from the system.
//
// malloc cannot give aligned pages without leaving holes between them. These
// come from the system in larger pieces and are kept for reuse; a page that is
// free costs address space only, since its memory goes back at once (where the
// system's own pages are larger, with its neighbours or not at all).
//
// Process-wide like the heap, and counted with it (mem_used); one thread only.
#pragma once

#include <stddef.h>

constexpr size_t PAGE_SIZE = 4096;

// Contents are undefined. Aborts when the system has no memory.
[[nodiscard]] void *page_new();
void page_free(void *);
