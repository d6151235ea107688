// base/wheel.h -- a hierarchical timer wheel.
//
// Four wheels of 64 slots, the first with TICK_MS a slot, each further one 64
// times as coarse. Starting and stopping a timer is O(1) and allocates
// nothing; a timer lives in the struct that it wakes. A timer never fires
// early, and at most one tick late. Timers that are due further ahead than the
// wheel reaches wait in its last slot and are sorted in again.
//
//     level 3  |....................|   x 64^3 ticks
//     level 2  |....................|   x 64^2
//     level 1  |....................|   x 64
//     level 0  |....^...............|   1 tick
//                   now
//
// What a timer does is told by its kind: a small number that the owner of the
// wheel gives a meaning in its callback.
#pragma once

#include <stdint.h>

constexpr uint32_t WHEEL_TICK_MS = 10;
constexpr int WHEEL_LEVELS = 4;
constexpr int WHEEL_SLOTS = 64;

struct Timer {
    Timer *next = nullptr;    // in the slot; not in order of time
    Timer **pprev = nullptr;  // what points to us; null exactly when the timer is not running
    uint64_t due_ms : 56 = 0; // when it fires
    uint64_t kind : 8 = 0;    // what for; the wheel's owner knows
};
static_assert(sizeof(Timer) <= 24);

struct Wheel {
    uint64_t now_tick = 0; // everything up to it has fired or is firing
    uint64_t now_ms = 0;   // of the last wheel_advance; never goes back
    uint64_t used[WHEEL_LEVELS] = {}; // bit s: slot s holds timers
    Timer *slots[WHEEL_LEVELS][WHEEL_SLOTS] = {};
    Timer *late = nullptr; // due when started: they fire at the next advance
    void (*on_due)(void *user, Timer *) = nullptr; // may start and stop timers
    void *user = nullptr;  // for on_due; not ours
};

void wheel_init(Wheel *, uint64_t now_ms, void (*on_due)(void *, Timer *),
                void *user);

// Starts `t` (stopping it first if it runs) to fire at `due_ms`; a time in
// the past fires at the next wheel_advance: never in the one that is running,
// so a callback that starts its own timer again cannot keep it from ending.
void wheel_start(Wheel *, Timer *t, uint64_t due_ms);

// No effect on a timer that does not run.
void wheel_stop(Wheel *, Timer *t);

inline bool timer_running(const Timer *t) { return t->pprev != nullptr; }

// Fires everything due at `now_ms`, tick by tick, within a tick in no order.
// Each timer is stopped before its callback. Costs O(occupied slots) beside the
// callbacks, however far the time has jumped.
void wheel_advance(Wheel *, uint64_t now_ms);

// When wheel_advance should be called next: never later than the first tick at
// which a timer fires, perhaps earlier (to sort coarse slots). 0: at once;
// UINT64_MAX: no timer runs.
uint64_t wheel_next_ms(const Wheel *);
