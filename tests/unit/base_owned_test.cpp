#include "base/owned.h"

#include <doctest/doctest.h>
#include <fcntl.h>

static int ended;
static void end_int(int *) { ended++; }
using IntPtr = Owned<int, end_int>;

static bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

static int open_null() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

TEST_CASE("a descriptor is closed once, by its last owner") {
    int raw = open_null();
    {
        Fd a(raw);
        Fd b(std::move(a));
        CHECK_FALSE(a);
        CHECK(b.value == raw);
        CHECK(is_open(raw));
        Fd c;
        c = std::move(b);
        CHECK(is_open(raw));
    }
    CHECK_FALSE(is_open(raw));
}

TEST_CASE("a new descriptor closes the one before") {
    int first = open_null(), second = open_null();
    Fd fd(first);
    fd = Fd(second);
    CHECK_FALSE(is_open(first));
    CHECK(is_open(second));
    Fd &same = fd;
    fd = std::move(same);
    CHECK(is_open(second));
    CHECK(fd.release() == second);
    CHECK(is_open(second));
    close(second);
}

TEST_CASE("a handle takes the room of a pointer and ends once") {
    static_assert(sizeof(IntPtr) == sizeof(int *));
    int x = 0, y = 0;
    ended = 0;
    {
        IntPtr a(&x);
        IntPtr b(std::move(a));
        CHECK_FALSE(a);
        CHECK(b.get() == &x);
        IntPtr &same = b;
        b = std::move(same);
        CHECK(b.get() == &x);
        CHECK(ended == 0);
        b = IntPtr(&y);
        CHECK(ended == 1);
        IntPtr none;
    }
    CHECK(ended == 2);
    IntPtr released(&x);
    CHECK(released.release() == &x);
    released.reset();
    CHECK(ended == 2);
}
