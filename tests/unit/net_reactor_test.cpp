#include "net/reactor.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <vector>

#include "base/mem.h"

// A reactor and some connected pairs; [0] is watched, [1] is the far end.
struct Loop {
    size_t mem_before = mem_used();
    Reactor *r = reactor_create();
    std::map<Watch *, int> calls;
    std::map<Watch *, uint8_t> ready;
    std::function<void(Watch *)> then;
    std::vector<int> fds;

    Loop() { REQUIRE(r); }
    ~Loop() {
        reactor_free(r);
        for (int fd : fds) close(fd);
        CHECK(mem_used() == mem_before);
    }
    int pair(Watch *w, uint8_t interest) {
        int two[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two) == 0);
        fds.push_back(two[0]);
        fds.push_back(two[1]);
        w->fd = two[0];
        REQUIRE(reactor_add(r, w, interest));
        return two[1];
    }
    int wait(int64_t ms = 0) {
        calls.clear();
        ready.clear();
        reactor_wait(
            r, ms,
            [](void *user, Watch *w, uint8_t bits) {
                auto *loop = static_cast<Loop *>(user);
                loop->calls[w]++;
                loop->ready[w] = bits;
                if (loop->then) loop->then(w);
            },
            this);
        return static_cast<int>(calls.size());
    }
};

TEST_CASE("a reactor reports what is ready, again and again until it is read") {
    Loop l;
    Watch a, b;
    int far = l.pair(&a, READY_READ);
    l.pair(&b, READY_READ);
    CHECK(l.wait() == 0);
    CHECK(write(far, "x", 1) == 1);
    CHECK(l.wait(1000) == 1);
    CHECK(l.ready[&a] == READY_READ);
    CHECK(l.wait() == 1);
    char c;
    CHECK(read(a.fd, &c, 1) == 1);
    CHECK(l.wait() == 0);
    CHECK(l.wait(5) == 0);
}

TEST_CASE("interest can be changed, to nothing too") {
    Loop l;
    Watch a;
    int far = l.pair(&a, READY_WRITE);
    CHECK(l.wait() == 1);
    CHECK(l.ready[&a] == READY_WRITE);
    CHECK(write(far, "x", 1) == 1);
    reactor_change(l.r, &a, READY_READ | READY_WRITE);
    l.wait();
    CHECK(l.ready[&a] == (READY_READ | READY_WRITE));
    reactor_change(l.r, &a, READY_READ);
    l.wait();
    CHECK(l.ready[&a] == READY_READ);
    reactor_change(l.r, &a, 0);
    CHECK(l.wait() == 0);
    close(far);
    l.fds.pop_back();
    CHECK(l.wait() == 0); // a hang-up is nothing to one who waits for nothing
    reactor_change(l.r, &a, READY_READ);
    CHECK(l.wait() == 1);
}

TEST_CASE("a hang-up is reported as readable and writable") {
    Loop l;
    Watch a;
    int far = l.pair(&a, READY_READ);
    close(far);
    l.fds.pop_back();
    CHECK(l.wait() == 1);
    CHECK(l.ready[&a] == (READY_READ | READY_WRITE));
}

TEST_CASE("one that is removed inside a callback is not called any more") {
    Loop l;
    Watch w[5];
    for (Watch &x : w) {
        int far = l.pair(&x, READY_READ);
        CHECK(write(far, "x", 1) == 1);
    }
    l.then = [&](Watch *called) {
        l.then = nullptr;
        for (Watch &x : w)
            if (&x != called) reactor_remove(l.r, &x);
    };
    CHECK(l.wait() == 1);
    CHECK(l.wait() == 1);
}

TEST_CASE("a callback may remove itself, and another take over its number") {
    Loop l;
    Watch a, b;
    int far = l.pair(&a, READY_READ);
    CHECK(write(far, "x", 1) == 1);
    l.then = [&](Watch *called) {
        REQUIRE(called == &a);
        reactor_remove(l.r, &a);
        b.fd = a.fd;
        REQUIRE(reactor_add(l.r, &b, READY_READ));
    };
    CHECK(l.wait() == 1);
    l.then = nullptr;
    CHECK(l.wait() == 1);
    CHECK(l.calls[&b] == 1);
    reactor_remove(l.r, &b);
    CHECK(l.wait() == 0);
}

TEST_CASE("many are reported in batches, and nobody is left out") {
    Loop l;
    std::vector<Watch> w(REACTOR_BATCH + 40);
    for (Watch &x : w) l.pair(&x, READY_WRITE);
    std::map<Watch *, int> all;
    for (int i = 0; i < 4; i++) {
        CHECK(l.wait() <= REACTOR_BATCH);
        for (auto &[who, n] : l.calls) all[who] += n;
    }
    CHECK(all.size() == w.size());
    for (size_t i = 0; i < w.size(); i += 2) reactor_remove(l.r, &w[i]);
    l.wait();
    for (auto &[who, n] : l.calls) CHECK((who - w.data()) % 2 == 1);
    CHECK(l.calls.size() == w.size() / 2);
}
