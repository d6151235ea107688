// base/map.h -- a flat hash map: one array of hashes, one of values.
//
//     hashes  | h | 0 | h | h | 0 | ...     4 bytes a slot, 0 = free
//     values  | v |   | v | v |   | ...     sizeof(V) a slot
//
// Linear probing over the hashes (sixteen to a cache line), deletion by
// shifting back, so there are no tombstones and no decay. The key is part of
// what the value leads to: the caller brings the hash, and the map asks
// Ops::equal(value, key) to confirm a hit. V is a pointer or an index.
//
// No large table grows in one go: above MAP_STEPWISE slots the new array is
// filled a few slots at a time, by the insertions and removals that follow;
// meanwhile a look-up asks both arrays. It grows when three quarters are in
// use and doubles; it shrinks the same way, to a quarter, when less than an
// eighth is in use, and holds no memory at all when it is empty.
//
// A move is always over before the next one is due. Growing from C slots takes
// C / 64 changes, and there is room for 3C / 4 more entries; shrinking to C / 4
// takes as many, and there is room for C / 16. Until it is over the map does
// not shrink. What remains of a long step is the kernel's: unmapping the old
// arrays (some milliseconds for a hundred megabytes).
#pragma once

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"

constexpr uint32_t MAP_STEPWISE = 65536; // slots that are still moved in one go
constexpr uint32_t MAP_STEP = 64;        // old slots moved at each change

template <class V> struct MapTable {
    uint32_t *hashes = nullptr; // owned; 0: the slot is free
    V *values = nullptr;        // owned; undefined where the slot is free
    uint32_t capacity = 0; // power of two, or 0
    uint32_t used = 0;     // slots with a live entry
};

template <class V, class Key, class Ops> struct Map {
    MapTable<V> now;       // where new entries go
    MapTable<V> old;       // what is still to be moved; capacity 0: nothing
    uint32_t old_next = 0; // slots of `old` below this are moved

    uint32_t size() const { return now.used + old.used; }

    // The value for `key`, or null. Valid until the next change.
    V *find(uint64_t hash, const Key &key) {
        uint32_t h = fold(hash);
        if (V *v = find_in(now, h, key)) return v;
        return old.capacity ? find_in(old, h, key) : nullptr;
    }

    // Adds an entry; the caller has made sure that its key is not there.
    void insert(uint64_t hash, V value) {
        step();
        if ((now.used + old.used + 1) * 8ull > now.capacity * 6ull) grow();
        put(&now, fold(hash), value);
    }

    // Removes the entry and returns true if it was there.
    bool remove(uint64_t hash, const Key &key) {
        uint32_t h = fold(hash);
        if (V *v = find_in(now, h, key)) {
            shift_back(&now, static_cast<uint32_t>(v - now.values));
        } else if (V *o = old.capacity ? find_in(old, h, key) : nullptr) {
            old.hashes[o - old.values] = MOVED;
            old.used--;
        } else {
            return false;
        }
        step();
        shrink();
        return true;
    }

    // Walks all entries in slot order: for (it = 0; (v = m.next(&it)); ).
    // Stepwise moves do not happen meanwhile unless the map is changed.
    V *next(uint64_t *it) {
        for (; *it < now.capacity; ++*it)
            if (now.hashes[*it] > MOVED) return &now.values[(*it)++];
        for (; *it < static_cast<uint64_t>(now.capacity) + old.capacity; ++*it) {
            uint64_t i = *it - now.capacity;
            if (old.hashes[i] > MOVED) {
                ++*it;
                return &old.values[i];
            }
        }
        return nullptr;
    }

    void free() {
        drop(&now);
        drop(&old);
        old_next = 0;
    }

  private:
    static constexpr uint32_t FREE = 0;
    static constexpr uint32_t MOVED = 1; // only in `old`: was live, keeps its run whole

    static uint32_t fold(uint64_t hash) {
        uint32_t h = static_cast<uint32_t>(hash ^ hash >> 32);
        return h > MOVED ? h : h + 2;
    }

    static V *find_in(MapTable<V> &t, uint32_t h, const Key &key) {
        if (!t.capacity) return nullptr;
        uint32_t mask = t.capacity - 1;
        for (uint32_t i = h & mask; t.hashes[i] != FREE; i = (i + 1) & mask)
            if (t.hashes[i] == h && Ops::equal(t.values[i], key))
                return &t.values[i];
        return nullptr;
    }

    static void put(MapTable<V> *t, uint32_t h, V value) {
        uint32_t mask = t->capacity - 1;
        uint32_t i = h & mask;
        while (t->hashes[i] != FREE) i = (i + 1) & mask;
        t->hashes[i] = h;
        t->values[i] = value;
        t->used++;
    }

    // Closes the gap at `i` by moving back every later entry of the run that
    // would otherwise become unreachable.
    static void shift_back(MapTable<V> *t, uint32_t i) {
        uint32_t mask = t->capacity - 1;
        for (uint32_t j = (i + 1) & mask; t->hashes[j] != FREE; j = (j + 1) & mask) {
            uint32_t home = t->hashes[j] & mask;
            if (((j - home) & mask) < ((j - i) & mask)) continue;
            t->hashes[i] = t->hashes[j];
            t->values[i] = t->values[j];
            i = j;
        }
        t->hashes[i] = FREE;
        t->used--;
    }

    static void make(MapTable<V> *t, uint32_t capacity) {
        t->hashes = static_cast<uint32_t *>(mem_zero(sizeof(uint32_t) * capacity));
        t->values = static_cast<V *>(mem_alloc(sizeof(V) * capacity));
        t->capacity = capacity;
        t->used = 0;
    }

    static void drop(MapTable<V> *t) {
        mem_free(t->hashes);
        mem_free(t->values);
        *t = {};
    }

    // Moves up to `n` slots from the old array to the new one. A free slot
    // stays free: marked, it would join runs, and a look-up that begins in the
    // part already moved would walk through all of it.
    void move(uint32_t n) {
        for (; n && old_next < old.capacity; n--, old_next++) {
            if (old.hashes[old_next] <= MOVED) continue;
            put(&now, old.hashes[old_next], old.values[old_next]);
            old.hashes[old_next] = MOVED;
            old.used--;
        }
        if (!old.used) {
            drop(&old);
            old_next = 0;
        }
    }
    void step() {
        if (old.capacity) move(MAP_STEP);
    }

    void resize(uint32_t capacity) {
        assert(!old.capacity); // see the top
        old = now;
        old_next = 0;
        make(&now, capacity);
        if (old.capacity && old.capacity <= MAP_STEPWISE) move(old.capacity);
    }
    void grow() { resize(now.capacity ? now.capacity * 2 : 8); }
    void shrink() {
        if (!size()) return free();
        if (old.capacity || now.capacity <= 8) return;
        if (size() < now.capacity / 8) resize(now.capacity / 4);
    }
};
