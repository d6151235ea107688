// base/list.h -- an intrusive doubly linked list.
//
// The link lives in the element: linking allocates nothing, unlinking is O(1)
// and an element may be on several lists through several links. A Link that
// is on no list is null on both sides.
//
//     struct Session { Link by_age; };
//     List<Session, &Session::by_age> sessions;
#pragma once

#include <assert.h>
#include <stddef.h>

struct Link {
    Link *next = nullptr;
    Link *prev = nullptr;
};

inline bool link_on_list(const Link *l) { return l->next != nullptr; }

inline void link_remove(Link *l) {
    if (!l->next) return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = nullptr;
}

// The list itself must not move: its head is part of the ring.
template <class T, Link T::*M> struct List {
    Link head{&head, &head};

    List() = default;
    List(const List &) = delete;
    List &operator=(const List &) = delete;

    static T *owner(Link *l) {
        // The offset of a member through a pointer to member, without
        // forming a T: what container_of does in C.
        alignas(T) static char probe[sizeof(T)];
        T *t = reinterpret_cast<T *>(probe);
        auto offset = reinterpret_cast<char *>(&(t->*M)) - probe;
        return reinterpret_cast<T *>(reinterpret_cast<char *>(l) - offset);
    }

    bool empty() const { return head.next == &head; }
    T *first() { return empty() ? nullptr : owner(head.next); }
    T *next(T *t) {
        Link *n = (t->*M).next;
        return n == &head ? nullptr : owner(n);
    }
    void push_back(T *t) { insert(&(t->*M), head.prev, &head); }
    void push_front(T *t) { insert(&(t->*M), &head, head.next); }
    static void remove(T *t) { link_remove(&(t->*M)); }
    T *pop_front() {
        T *t = first();
        if (t) remove(t);
        return t;
    }

  private:
    static void insert(Link *l, Link *before, Link *after) {
        assert(!link_on_list(l));
        l->prev = before;
        l->next = after;
        before->next = l;
        after->prev = l;
    }
};
