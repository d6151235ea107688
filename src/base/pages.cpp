#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"

constexpr size_t PIECE = 16 * PAGE_SIZE; // one call to the system

// A stack of what is free: it only says where address space is, and is neither
// counted nor given back.
static char **free_pages;
static size_t free_count;
static size_t free_capacity;

static void push(char *page) {
    if (free_count == free_capacity) {
        free_capacity = free_capacity ? free_capacity * 2 : 64;
        auto *more = static_cast<char **>(realloc(free_pages, free_capacity * sizeof(char *)));
        if (!more) mem_give_up();
        free_pages = more;
    }
    free_pages[free_count++] = page;
}

static void get_piece() {
    void *p = mmap(nullptr, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) mem_give_up();
    char *at = static_cast<char *>(p);
    // The lowest is taken first, so that neighbours are filled together.
    for (size_t i = PIECE; i; i -= PAGE_SIZE) push(at + i - PAGE_SIZE);
}

void *page_new() {
    if (!free_count) get_piece();
    mem_count(static_cast<ptrdiff_t>(PAGE_SIZE));
    return free_pages[--free_count];
}

void page_free(void *page) {
    mem_count(-static_cast<ptrdiff_t>(PAGE_SIZE));
    madvise(page, PAGE_SIZE, MADV_DONTNEED);
    push(static_cast<char *>(page));
}
