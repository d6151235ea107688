// net/reactor.h -- waits for descriptors.
//
// Knows a descriptor, what it waits for, and a pointer; nothing else. One of
// two files implements it: reactor_epoll.cpp, reactor_poll.cpp (make POLL=poll).
// Level-triggered in both: what was not read is reported again.
#pragma once

#include <stdint.h>

// Bits of interest and of readiness. Errors and hang-ups are reported as both.
constexpr uint8_t READY_READ = 1;
constexpr uint8_t READY_WRITE = 2;

// Part of whatever owns a descriptor. Must stay where it is while it is added.
struct Watch {
    int fd = -1;
    uint8_t kind = 0;      // what the owner is (net.h); not looked at here
    uint8_t interest = 0;  // what is waited for; 0 with fd >= 0: added, but mute
    uint16_t flags = 0;    // the owner's
};
static_assert(sizeof(Watch) == 8);

struct Reactor;

// Null with errno set if the system refuses.
Reactor *reactor_create();
void reactor_free(Reactor *);

// False with errno set if the system refuses (no memory, too many watches).
[[nodiscard]] bool reactor_add(Reactor *, Watch *, uint8_t interest);
// If the system refuses, Watch::interest stays what it was.
void reactor_change(Reactor *, Watch *, uint8_t interest);
// To be called before the descriptor is closed. Events of this turn that are
// not yet delivered for this watch are dropped.
void reactor_remove(Reactor *, Watch *);

// Waits at most `timeout_ms` (-1: for ever; interrupted by signals: returns
// early) and calls `on_ready` for each watch that is ready. At most
// REACTOR_BATCH in one call, so that timers get their turn.
constexpr int REACTOR_BATCH = 256;
void reactor_wait(Reactor *, int64_t timeout_ms,
                  void (*on_ready)(void *user, Watch *, uint8_t ready), void *user);
