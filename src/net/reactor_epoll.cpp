#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/reactor.h"

struct Reactor {
    int fd = -1;
    // What epoll_wait has handed over; reactor_remove blanks out what is not
    // delivered yet. Outside of reactor_wait `next` equals `count`.
    int next = 0;
    int count = 0;
    epoll_event events[REACTOR_BATCH] = {};
};

Reactor *reactor_create() {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) return nullptr;
    Reactor *r = mem_new<Reactor>();
    r->fd = fd;
    return r;
}

void reactor_free(Reactor *r) {
    if (!r) return;
    close(r->fd);
    mem_delete(r);
}

static bool control(Reactor *r, int what, Watch *w, uint8_t interest) {
    epoll_event e = {};
    if (interest & READY_READ) e.events |= EPOLLIN;
    if (interest & READY_WRITE) e.events |= EPOLLOUT;
    e.data.ptr = w;
    return epoll_ctl(r->fd, what, w->fd, &e) == 0;
}

bool reactor_add(Reactor *r, Watch *w, uint8_t interest) {
    if (interest && !control(r, EPOLL_CTL_ADD, w, interest)) return false;
    w->interest = interest;
    return true;
}

// A mute watch is not in the kernel's set at all: epoll reports hang-ups even
// to those who wait for nothing, again and again.
void reactor_change(Reactor *r, Watch *w, uint8_t interest) {
    if (interest == w->interest) return;
    int what = !w->interest ? EPOLL_CTL_ADD : interest ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
    if (control(r, what, w, interest)) w->interest = interest;
}

void reactor_remove(Reactor *r, Watch *w) {
    if (w->interest) control(r, EPOLL_CTL_DEL, w, 0);
    w->interest = 0;
    for (int i = r->next; i < r->count; i++)
        if (r->events[i].data.ptr == w) r->events[i].data.ptr = nullptr;
}

static uint8_t ready_bits(uint32_t events) {
    if (events & (EPOLLERR | EPOLLHUP)) return READY_READ | READY_WRITE;
    return static_cast<uint8_t>((events & EPOLLIN ? READY_READ : 0) |
                                (events & EPOLLOUT ? READY_WRITE : 0));
}

void reactor_wait(Reactor *r, int64_t timeout_ms,
                  void (*on_ready)(void *user, Watch *, uint8_t ready), void *user) {
    int timeout = timeout_ms > 3600000 ? 3600000 : static_cast<int>(timeout_ms);
    int n = epoll_wait(r->fd, r->events, REACTOR_BATCH, timeout);
    r->count = n > 0 ? n : 0;
    r->next = 0;
    while (r->next < r->count) {
        const epoll_event &e = r->events[r->next++];
        auto *w = static_cast<Watch *>(e.data.ptr);
        if (w) on_ready(user, w, ready_bits(e.events));
    }
    r->next = r->count = 0;
}
