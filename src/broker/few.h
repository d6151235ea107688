// broker/few.h -- a growable array whose first element needs no allocation.
//
// Like Vec (base/vec.h), for lists that nearly always hold one element: the
// subscribers of a filter, the subscriptions of a client.
//
//     capacity 0:  | the element itself | size 0 or 1 |
//     else:        | pointer to array   | size        |
//
// For trivially copyable T only; elements move when it grows or shrinks.
#pragma once

#include "base/vec.h"

template <class T> struct Few {
    static_assert(std::is_trivially_copyable_v<T>);
    union {
        T one;             // with capacity 0
        T *many;           // else; owned
    };
    uint32_t size = 0;
    uint32_t capacity = 0; // of `many`; 0: there is none

    Few() : many(nullptr) {}

    T *begin() { return capacity ? many : &one; }
    T *end() { return begin() + size; }
    const T *begin() const { return capacity ? many : &one; }
    const T *end() const { return begin() + size; }
    T &operator[](size_t i) {
        assert(i < size);
        return begin()[i];
    }
    const T &operator[](size_t i) const {
        assert(i < size);
        return begin()[i];
    }
};

// Moves the elements into an array of `n` (at least 2, at least size).
template <class T> void few_resize(Few<T> *v, uint32_t n) {
    T *old = v->capacity ? v->many : nullptr;
    T *array = static_cast<T *>(mem_resize(old, n * sizeof(T)));
    if (!v->capacity && v->size) array[0] = v->one;
    v->many = array;
    v->capacity = n;
}

template <class T> void few_push(Few<T> *v, const T &value) {
    T copy = value; // `value` may live in the array that moves
    uint32_t room = v->capacity ? v->capacity : 1;
    if (v->size == room) few_resize(v, room < 2 ? 2 : room + room / 2);
    v->begin()[v->size++] = copy;
}

template <class T> void few_free(Few<T> *v) {
    if (v->capacity) mem_free(v->many);
    *v = {};
}

// Gives back what is not used.
template <class T> void few_shrink(Few<T> *v) {
    if (!v->capacity) return;
    if (v->size <= 1) {
        T *array = v->many;
        if (v->size) v->one = array[0];
        v->capacity = 0;
        mem_free(array);
    } else if (v->size <= v->capacity / 4) {
        few_resize(v, v->size);
    }
}

// Removes element `i`; the last one takes its place.
template <class T> void few_swap_remove(Few<T> *v, uint32_t i) {
    assert(i < v->size);
    T *array = v->begin();
    array[i] = array[--v->size];
    few_shrink(v);
}
