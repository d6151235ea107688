// base/vec.h -- a growable array of plain values, 16 bytes when empty.
//
// For trivially copyable T only. Elements move when it grows: keep indices,
// not pointers. Memory is given back by vec_shrink or vec_free; there is no
// destructor, since most vectors live in pooled structs with one end function.
#pragma once

#include <assert.h>
#include <string.h>

#include <type_traits>

#include "base/mem.h"

template <class T> struct Vec {
    static_assert(std::is_trivially_copyable_v<T>);
    T *data = nullptr;
    uint32_t size = 0;
    uint32_t capacity = 0;

    T &operator[](size_t i) {
        assert(i < size);
        return data[i];
    }
    const T &operator[](size_t i) const {
        assert(i < size);
        return data[i];
    }
    T *begin() { return data; }
    T *end() { return data + size; }
    const T *begin() const { return data; }
    const T *end() const { return data + size; }
};

template <class T> void vec_reserve(Vec<T> *v, uint32_t n) {
    if (n <= v->capacity) return;
    v->data = static_cast<T *>(mem_resize(v->data, n * sizeof(T)));
    v->capacity = n;
}

// Appends; grows by half, from 1 for the first.
template <class T> T *vec_push(Vec<T> *v, const T &value) {
    if (v->size == v->capacity) {
        T copy = value; // `value` may live in the array that moves
        vec_reserve(v, v->capacity < 2 ? v->capacity + 1
                                       : v->capacity + v->capacity / 2);
        v->data[v->size] = copy;
    } else {
        v->data[v->size] = value;
    }
    return &v->data[v->size++];
}

// Removes element `i`; the last one takes its place.
template <class T> void vec_swap_remove(Vec<T> *v, uint32_t i) {
    assert(i < v->size);
    v->data[i] = v->data[--v->size];
}

// Removes element `i`, keeps the order; costs O(size - i).
template <class T> void vec_remove(Vec<T> *v, uint32_t i) {
    assert(i < v->size);
    memmove(v->data + i, v->data + i + 1, (--v->size - i) * sizeof(T));
}

template <class T> void vec_free(Vec<T> *v) {
    mem_free(v->data);
    *v = {};
}

// Gives back what is not used once less than a quarter is.
template <class T> void vec_shrink(Vec<T> *v) {
    if (!v->size) return vec_free(v);
    if (v->size > v->capacity / 4) return;
    v->data = static_cast<T *>(mem_resize(v->data, v->size * sizeof(T)));
    v->capacity = v->size;
}
