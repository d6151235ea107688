#include "base/wheel.h"

#include <stddef.h>

#include <bit>

constexpr int BITS = 6; // log2 of WHEEL_SLOTS
constexpr uint64_t SLOT_MASK = WHEEL_SLOTS - 1;
constexpr int TOP = WHEEL_LEVELS - 1;
constexpr uint64_t DUE_MAX = (UINT64_C(1) << 56) - 1;
constexpr uint64_t NEVER = UINT64_MAX;

static_assert(WHEEL_SLOTS == 1 << BITS);

// The invariant that makes the first occupied slot of the lowest occupied
// level the next one of all: below the top, a timer lies on the level where
// its tick and now_tick first differ, in groups of BITS bits from the top. So
// its slot is ahead of now_tick's own on that level, and all of a level comes
// before anything of the next. The top level goes round.

static uint64_t slot_of(uint64_t tick, int level) {
    return tick >> (BITS * level) & SLOT_MASK;
}

static void link_timer(Timer **head, Timer *t) {
    t->next = *head;
    t->pprev = head;
    if (t->next) t->next->pprev = &t->next;
    *head = t;
}

// Whatever list `t` is on: if it was the last of a slot, the slot's bit goes.
static void unlink_timer(Wheel *w, Timer *t) {
    Timer **pprev = t->pprev;
    *pprev = t->next;
    if (t->next) t->next->pprev = pprev;
    t->next = nullptr;
    t->pprev = nullptr;
    if (*pprev) return;
    auto at = reinterpret_cast<uintptr_t>(pprev);
    auto first = reinterpret_cast<uintptr_t>(&w->slots[0][0]);
    if (at < first || at >= first + sizeof w->slots) return;
    size_t i = (at - first) / sizeof(Timer *);
    w->used[i / WHEEL_SLOTS] &= ~(UINT64_C(1) << i % WHEEL_SLOTS);
}

// The first tick at which `t` is due: rounded up, so never early.
static uint64_t tick_of(const Timer *t) {
    return (t->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

// Puts `t`, due at now_tick or later, into its slot.
static void sort_in(Wheel *w, Timer *t) {
    uint64_t tick = tick_of(t);
    uint64_t differs = tick ^ w->now_tick;
    int level = 0;
    while (level < TOP && differs >> (BITS * (level + 1))) level++;
    uint64_t slot = slot_of(tick, level);
    if (level == TOP) {
        uint64_t here = w->now_tick >> (BITS * TOP);
        // Out of reach: waits in the slot that is farthest away.
        if ((tick >> (BITS * TOP)) - here > SLOT_MASK)
            slot = (here + SLOT_MASK) & SLOT_MASK;
    }
    link_timer(&w->slots[level][slot], t);
    w->used[level] |= UINT64_C(1) << slot;
}

// Where the first occupied slot begins, and its level; NEVER if there is none.
static uint64_t first_slot(const Wheel *w, int *level) {
    for (int l = 0; l < TOP; l++) {
        if (!w->used[l]) continue;
        int shift = BITS * l;
        auto slot = static_cast<uint64_t>(std::countr_zero(w->used[l]));
        uint64_t turn = w->now_tick >> shift & ~SLOT_MASK;
        *level = l;
        return (turn | slot) << shift;
    }
    if (!w->used[TOP]) return NEVER;
    uint64_t here = w->now_tick >> (BITS * TOP);
    // Bit 0: the slot after ours.
    uint64_t ahead =
        std::rotr(w->used[TOP], static_cast<int>((here + 1) & SLOT_MASK));
    *level = TOP;
    return (here + 1 + static_cast<uint64_t>(std::countr_zero(ahead)))
           << (BITS * TOP);
}

void wheel_init(Wheel *w, uint64_t now_ms, void (*on_due)(void *, Timer *),
                void *user) {
    *w = {};
    w->now_ms = now_ms;
    w->now_tick = now_ms / WHEEL_TICK_MS;
    w->on_due = on_due;
    w->user = user;
}

void wheel_start(Wheel *w, Timer *t, uint64_t due_ms) {
    wheel_stop(w, t);
    t->due_ms = (due_ms < DUE_MAX ? due_ms : DUE_MAX) & DUE_MAX;
    if (due_ms <= w->now_ms) {
        link_timer(&w->late, t);
    } else {
        sort_in(w, t);
    }
}

void wheel_stop(Wheel *w, Timer *t) {
    if (timer_running(t)) unlink_timer(w, t);
}

// Fires a list until it is empty. Callbacks may take timers off it, but add
// none: what they start is either late or due after this advance.
static void fire(Wheel *w, Timer **head) {
    while (Timer *t = *head) {
        unlink_timer(w, t);
        w->on_due(w->user, t);
    }
}

static void fire_late(Wheel *w) {
    Timer *batch = w->late; // apart, since callbacks may add to `late`
    if (!batch) return;
    batch->pprev = &batch;
    w->late = nullptr;
    fire(w, &batch);
}

// Brings the timers of a coarse slot, whose time has begun, to finer ones.
static void spread(Wheel *w, Timer **head) {
    while (Timer *t = *head) {
        unlink_timer(w, t);
        sort_in(w, t);
    }
}

void wheel_advance(Wheel *w, uint64_t now_ms) {
    // Before any callback: a timer that one starts must not fire in this call.
    if (now_ms > w->now_ms) w->now_ms = now_ms;
    uint64_t target = w->now_ms / WHEEL_TICK_MS;
    fire_late(w);
    int level = 0;
    for (uint64_t tick; (tick = first_slot(w, &level)) <= target;) {
        w->now_tick = tick;
        Timer **head = &w->slots[level][slot_of(tick, level)];
        if (level == 0) {
            fire(w, head);
        } else {
            spread(w, head);
        }
    }
    w->now_tick = target;
}

uint64_t wheel_next_ms(const Wheel *w) {
    if (w->late) return 0;
    int level = 0;
    uint64_t tick = first_slot(w, &level);
    return tick == NEVER ? NEVER : tick * WHEEL_TICK_MS;
}
