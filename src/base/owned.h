// base/owned.h -- one owner for a C handle; closed when it goes out of scope.
#pragma once

#include <unistd.h>

#include <utility>

// A file descriptor; -1 is none.
struct Fd {
    int value = -1;

    Fd() = default;
    explicit Fd(int fd) : value(fd) {}
    Fd(Fd &&other) noexcept : value(std::exchange(other.value, -1)) {}
    Fd &operator=(Fd &&other) noexcept {
        if (this != &other) {
            reset();
            value = std::exchange(other.value, -1);
        }
        return *this;
    }
    ~Fd() { reset(); }

    void reset() {
        if (value >= 0) close(value);
        value = -1;
    }
    int release() { return std::exchange(value, -1); }
    explicit operator bool() const { return value >= 0; }
};

// A handle of a C library with the function that ends it, in eight bytes:
// using SslPtr = Owned<SSL, SSL_free>;
template <class T, auto End> struct Owned {
    T *value = nullptr;

    Owned() = default;
    explicit Owned(T *v) : value(v) {}
    Owned(Owned &&other) noexcept : value(std::exchange(other.value, nullptr)) {}
    Owned &operator=(Owned &&other) noexcept {
        if (this != &other) {
            reset();
            value = std::exchange(other.value, nullptr);
        }
        return *this;
    }
    ~Owned() { reset(); }

    void reset() {
        if (value) End(value);
        value = nullptr;
    }
    T *release() { return std::exchange(value, nullptr); }
    T *get() const { return value; }
    explicit operator bool() const { return value != nullptr; }
};
