#include <poll.h>

#include "base/vec.h"
#include "net/reactor.h"

// Two arrays side by side: what poll() wants and whose it is. The place of a
// descriptor in them stands in `place_of`, by its number. Costs O(descriptors)
// in each turn, as poll() itself does.
struct Reactor {
    Vec<pollfd> fds;
    Vec<Watch *> watches;     // null: removed, to be closed up after the turn
    Vec<uint32_t> place_of;   // by descriptor; NOWHERE if it is not added
    uint32_t start = 0;       // where the next turn begins to look, for fairness
    bool delivering = false;  // inside reactor_wait: nothing may move
    bool has_gaps = false;
};

constexpr uint32_t NOWHERE = UINT32_MAX;

Reactor *reactor_create() { return mem_new<Reactor>(); }

void reactor_free(Reactor *r) {
    if (!r) return;
    vec_free(&r->fds);
    vec_free(&r->watches);
    vec_free(&r->place_of);
    mem_delete(r);
}

// A mute watch has a negative descriptor: poll() reports hang-ups even to
// those who wait for nothing.
static void set_interest(pollfd *p, const Watch *w, uint8_t interest) {
    p->fd = interest ? w->fd : -1;
    p->events = static_cast<short>((interest & READY_READ ? POLLIN : 0) |
                                   (interest & READY_WRITE ? POLLOUT : 0));
}

bool reactor_add(Reactor *r, Watch *w, uint8_t interest) {
    size_t fd = static_cast<size_t>(w->fd);
    while (r->place_of.size <= fd) vec_push(&r->place_of, NOWHERE);
    r->place_of[fd] = r->fds.size;
    pollfd p = {};
    set_interest(&p, w, interest);
    vec_push(&r->fds, p);
    vec_push(&r->watches, w);
    w->interest = interest;
    return true;
}

void reactor_change(Reactor *r, Watch *w, uint8_t interest) {
    if (interest == w->interest) return;
    set_interest(&r->fds[r->place_of[static_cast<size_t>(w->fd)]], w, interest);
    w->interest = interest;
}

// The last one takes the place of the one at `i`.
static void close_gap(Reactor *r, uint32_t i) {
    vec_swap_remove(&r->fds, i);
    vec_swap_remove(&r->watches, i);
    if (i < r->watches.size && r->watches[i])
        r->place_of[static_cast<size_t>(r->watches[i]->fd)] = i;
}

void reactor_remove(Reactor *r, Watch *w) {
    size_t fd = static_cast<size_t>(w->fd);
    uint32_t i = r->place_of[fd];
    r->place_of[fd] = NOWHERE;
    w->interest = 0;
    if (!r->delivering) return close_gap(r, i);
    r->watches[i] = nullptr;
    r->fds[i].fd = -1;
    r->fds[i].revents = 0;
    r->has_gaps = true;
}

static void close_gaps(Reactor *r) {
    for (uint32_t i = r->watches.size; i-- > 0;)
        if (!r->watches[i]) close_gap(r, i);
    r->has_gaps = false;
}

static uint8_t ready_bits(short events) {
    if (events & (POLLERR | POLLHUP | POLLNVAL)) return READY_READ | READY_WRITE;
    return static_cast<uint8_t>((events & POLLIN ? READY_READ : 0) |
                                (events & POLLOUT ? READY_WRITE : 0));
}

void reactor_wait(Reactor *r, int64_t timeout_ms,
                  void (*on_ready)(void *user, Watch *, uint8_t ready), void *user) {
    int timeout = timeout_ms > 3600000 ? 3600000 : static_cast<int>(timeout_ms);
    uint32_t n = r->fds.size; // those added meanwhile have no events yet
    int ready = poll(r->fds.data, n, timeout);
    if (ready <= 0 || n == 0) return;
    if (ready > REACTOR_BATCH) ready = REACTOR_BATCH;
    r->delivering = true;
    uint32_t i = r->start % n;
    for (uint32_t seen = 0; seen < n && ready > 0; seen++, i = (i + 1) % n) {
        short events = r->fds[i].revents;
        if (!events) continue;
        ready--;
        if (r->watches[i]) on_ready(user, r->watches[i], ready_bits(events));
    }
    r->start = i;
    r->delivering = false;
    if (r->has_gaps) close_gaps(r);
}
