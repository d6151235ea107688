#include "base/wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "unit/base_random.h"

constexpr uint64_t TICK = WHEEL_TICK_MS;
constexpr uint64_t SECOND = 1000, DAY = 86400 * SECOND;

// The wheel beside a plain list of what runs.
struct Clockwork {
    Wheel wheel;
    std::vector<Timer> timers;
    std::map<Timer *, uint64_t> model; // running timers and when they are due
    std::vector<Timer *> fired;        // since the last advance
    uint64_t now;
    void (*then)(Clockwork *, Timer *) = nullptr; // more to do when one fires
    Random *random = nullptr;
    uint64_t max_late = 0; // allowed, beyond the advance before
    uint64_t before = 0;   // time of the advance before
    bool is_advancing = false;
    std::map<Timer *, uint64_t> started; // by callbacks of the present advance

    Clockwork(size_t n, uint64_t now_ms) : timers(n), now(now_ms) {
        wheel_init(&wheel, now_ms, on_due, this);
    }
    Clockwork(const Clockwork &) = delete;

    static void on_due(void *user, Timer *t) {
        auto *c = static_cast<Clockwork *>(user);
        REQUIRE_FALSE(timer_running(t));
        REQUIRE(c->model.count(t) == 1);
        REQUIRE(c->started.count(t) == 0);
        REQUIRE(c->model[t] <= c->now); // never early
        c->model.erase(t);
        c->fired.push_back(t);
        if (c->then) c->then(c, t);
    }
    void start(Timer *t, uint64_t due) {
        wheel_start(&wheel, t, due);
        REQUIRE(timer_running(t));
        model[t] = due;
        if (is_advancing) started[t] = due;
    }
    void stop(Timer *t) {
        REQUIRE(timer_running(t) == (model.count(t) == 1));
        wheel_stop(&wheel, t);
        REQUIRE_FALSE(timer_running(t));
        model.erase(t);
        started.erase(t);
    }
    void advance(uint64_t to) {
        now = to;
        fired.clear();
        started.clear();
        is_advancing = true;
        wheel_advance(&wheel, now);
        is_advancing = false;
        // What is left is due later than the tick that has begun, or was
        // started meanwhile.
        for (auto &[t, due] : model)
            if (due <= now / TICK * TICK && !started.count(t))
                FAIL("a timer was forgotten, due at ", due);
        check_next();
    }
    uint64_t first_due() const {
        uint64_t first = UINT64_MAX;
        for (auto &[t, due] : model) first = std::min(first, due);
        return first;
    }
    void check_next() const {
        uint64_t next = wheel_next_ms(&wheel);
        uint64_t first = first_due();
        if (model.empty()) {
            REQUIRE(next == UINT64_MAX);
        } else {
            REQUIRE((next <= first || next - first < TICK));
            REQUIRE((next == 0 || next > now));
        }
    }
};

TEST_CASE("a timer fires in the tick that its time falls into, and once") {
    Clockwork c(1, 1000);
    Timer *t = &c.timers[0];
    CHECK(wheel_next_ms(&c.wheel) == UINT64_MAX);
    c.start(t, 1055);
    CHECK(wheel_next_ms(&c.wheel) == 1060);
    c.advance(1054);
    CHECK(c.fired.empty());
    c.advance(1060);
    CHECK(c.fired.size() == 1);
    CHECK_FALSE(timer_running(t));
    c.advance(99999);
    CHECK(c.fired.empty());
}

TEST_CASE("a time in the past fires at the very next advance") {
    Clockwork c(3, 1000);
    c.start(&c.timers[0], 1000);
    c.start(&c.timers[1], 3);
    c.start(&c.timers[2], 0);
    CHECK(wheel_next_ms(&c.wheel) == 0);
    c.stop(&c.timers[1]);
    c.advance(1000);
    CHECK(c.fired.size() == 2);
}

TEST_CASE("stopping works while stopped, twice, and after a restart") {
    Clockwork c(1, 0);
    Timer *t = &c.timers[0];
    c.stop(t);
    c.start(t, 100);
    c.start(t, 5000);
    c.advance(200);
    CHECK(c.fired.empty());
    c.stop(t);
    c.stop(t);
    CHECK(wheel_next_ms(&c.wheel) == UINT64_MAX);
    c.advance(10000);
    CHECK(c.fired.empty());
}

TEST_CASE("a callback that starts its own timer again does not go on for ever") {
    Clockwork c(1, 0);
    c.then = [](Clockwork *self, Timer *t) { self->start(t, self->now); };
    c.start(&c.timers[0], 10);
    for (uint64_t now : {10u, 10u, 11u, 5000u}) {
        c.advance(now);
        CHECK(c.fired.size() == 1);
    }
}

TEST_CASE("a callback may stop timers that are due in the same tick") {
    Clockwork c(20, 0);
    c.then = [](Clockwork *self, Timer *) {
        for (Timer &other : self->timers) self->stop(&other);
    };
    for (Timer &t : c.timers) c.start(&t, 50);
    c.advance(60);
    CHECK(c.fired.size() == 1);
    for (Timer &t : c.timers) c.start(&t, 60); // late ones
    c.advance(60);
    CHECK(c.fired.size() == 1);
}

TEST_CASE("timers at the edges of every level fire in their tick") {
    for (uint64_t base : {UINT64_C(0), UINT64_C(63), UINT64_C(4095),
                          UINT64_C(262143), UINT64_C(16777215),
                          UINT64_C(99999999)}) {
        for (uint64_t ahead : {1u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 262143u,
                               262144u, 16515071u, 16515072u, 16777215u,
                               16777216u, 16777217u, 50000000u}) {
            CAPTURE(base);
            CAPTURE(ahead);
            Clockwork c(1, base * TICK);
            uint64_t due = (base + ahead) * TICK;
            c.start(&c.timers[0], due);
            c.advance(due - 1);
            REQUIRE(c.fired.empty());
            c.advance(due);
            REQUIRE(c.fired.size() == 1);
        }
    }
}

TEST_CASE("following wheel_next_ms wakes up seldom and never too late") {
    for (uint64_t due : {SECOND, 60 * SECOND, DAY, 30 * DAY, 365 * DAY}) {
        Clockwork c(1, 12345);
        c.start(&c.timers[0], due + 12345);
        int wakes = 0;
        while (!c.model.empty()) {
            wakes++;
            c.advance(wheel_next_ms(&c.wheel));
        }
        CAPTURE(due);
        CHECK(c.now < due + 12345 + TICK);
        CHECK(wakes <= 4 + static_cast<int>(due / DAY));
    }
}

TEST_CASE("time that stands still or goes back fires nothing early") {
    Clockwork c(2, 50000);
    c.start(&c.timers[0], 50100);
    wheel_advance(&c.wheel, 40000);
    CHECK(c.fired.empty());
    wheel_start(&c.wheel, &c.timers[1], 45000);
    c.model[&c.timers[1]] = 45000;
    wheel_advance(&c.wheel, 40000);
    CHECK(c.fired.size() == 1);
    c.advance(50100);
    CHECK(c.fired.size() == 1);
}

TEST_CASE("a time beyond all times waits for ever") {
    Clockwork c(1, 1000);
    c.start(&c.timers[0], UINT64_MAX);
    c.timers[0].kind = 200;
    c.advance(1000 * DAY);
    CHECK(c.fired.empty());
    CHECK(timer_running(&c.timers[0]));
    CHECK(uint64_t{c.timers[0].kind} == 200);
}

// Short and long times, clustered at ticks, some in the past.
static uint64_t random_due(Random *random, uint64_t now) {
    uint64_t span = UINT64_C(1) << random->below(37); // up to four years
    uint64_t due = now + random->below(span);
    if (random->one_in(4)) due = due / TICK * TICK;
    if (random->one_in(20)) due = random->below(now + 1);
    return due;
}

static void random_callback(Clockwork *c, Timer *) {
    for (uint64_t i = c->random->below(3); i; i--) {
        Timer *t = &c->timers[c->random->below(c->timers.size())];
        if (c->random->one_in(3)) {
            c->stop(t);
        } else {
            c->start(t, random_due(c->random, c->now));
        }
    }
}

static uint64_t random_jump(Random *random) {
    switch (random->below(6)) {
    case 0: return 0;
    case 1: return random->below(10);
    case 2: return random->below(1000);
    case 3: return random->below(100 * SECOND);
    case 4: return random->one_in(20) ? random->below(400 * DAY) : 1;
    default: return TICK;
    }
}

TEST_CASE("a wheel behaves like a sorted list, whatever the jumps of time") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    for (int round = 0; round < 40; round++) {
        Clockwork c(100, random.below(UINT64_C(1) << (4 + random.below(40))));
        c.random = &random;
        if (round % 2) c.then = random_callback;
        for (int i = 0; i < 1000; i++) {
            Timer *t = &c.timers[random.below(c.timers.size())];
            if (random.one_in(4)) {
                c.stop(t);
            } else {
                c.start(t, random_due(&random, c.now));
            }
            c.check_next();
            if (random.one_in(2)) c.advance(c.now + random_jump(&random));
            if (random.one_in(30) && c.first_due() != UINT64_MAX)
                c.advance(std::max(c.now, wheel_next_ms(&c.wheel)));
        }
    }
}

TEST_CASE("advanced every tick, a timer is never a tick late") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    Clockwork c(300, random.below(UINT64_C(1) << 30));
    static uint64_t late;
    late = 0;
    std::map<Timer *, uint64_t> due;
    for (Timer &t : c.timers) {
        due[&t] = c.now + 1 + random.below(60 * SECOND);
        c.start(&t, due[&t]);
    }
    while (!c.model.empty()) {
        c.advance(c.now + TICK);
        for (Timer *t : c.fired) late = std::max(late, c.now - due[t]);
    }
    // A tick for the rounding, and one for where in a tick we advance.
    CHECK(late < 2 * TICK);
}
