#include "base/map.h"

#include <doctest/doctest.h>

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/hash.h"
#include "unit/base_random.h"

// Values are indices into a table of keys, as in the broker.
static std::vector<uint64_t> keys;
struct ByKey {
    static bool equal(uint32_t value, uint64_t key) { return keys[value] == key; }
};
using KeyMap = Map<uint32_t, uint64_t, ByKey>;

// A REQUIRE for inner loops: a tenth of the time.
static void must(bool holds) {
    if (!holds) FAIL("the map and its model differ");
}

// What one change did: at most one growth or shrinking may begin, and the slots
// looked at for moving are counted by how far the mark went.
struct Watch {
    uint32_t capacity = 0, old_capacity = 0, old_next = 0, old_used = 0;

    explicit Watch(const KeyMap &m)
        : capacity(m.now.capacity), old_capacity(m.old.capacity),
          old_next(m.old_next), old_used(m.old.used) {}

    uint32_t moved(const KeyMap &m) const {
        bool has_begun = m.now.capacity != capacity;
        uint32_t slots = m.old.capacity ? m.old_next : 0;
        if (has_begun && !m.old.capacity) slots = capacity; // in one go
        if (!has_begun && m.old.capacity) slots -= old_next;
        // The last step of a move, or the last entry of it was removed.
        if (old_capacity && !m.old.capacity) slots += old_used;
        return slots;
    }
};

struct Checked {
    KeyMap map;
    std::unordered_map<uint64_t, uint32_t> model;
    uint32_t worst = 0; // slots moved by one change of a large table
    uint64_t hash_mask = UINT64_MAX;

    uint64_t hash(uint64_t key) const { return hash_mix(key) & hash_mask; }

    void note(const Watch &before) {
        uint32_t moved = before.moved(map);
        if (before.capacity > MAP_STEPWISE && moved > worst) worst = moved;
    }
    void insert(uint64_t key) {
        keys.push_back(key);
        auto value = static_cast<uint32_t>(keys.size() - 1);
        Watch before(map);
        map.insert(hash(key), value);
        note(before);
        model[key] = value;
    }
    void remove(uint64_t key) {
        Watch before(map);
        bool was_there = map.remove(hash(key), key);
        note(before);
        must(was_there == (model.erase(key) == 1));
    }
    void find(uint64_t key) {
        uint32_t *v = map.find(hash(key), key);
        auto it = model.find(key);
        must((v != nullptr) == (it != model.end()));
        if (v) must(*v == it->second);
    }
    void walk() {
        std::unordered_set<uint32_t> seen;
        uint64_t it = 0;
        while (uint32_t *v = map.next(&it)) must(seen.insert(*v).second);
        must(seen.size() == model.size());
        for (auto &[key, value] : model) must(seen.count(value) == 1);
    }
    void end() {
        map.free();
        CHECK(map.size() == 0);
        keys.clear();
        keys.shrink_to_fit();
    }
};

// The longest run without a free slot: what a look-up may have to walk.
static uint32_t longest_run(const MapTable<uint32_t> &t) {
    uint32_t longest = 0, run = 0;
    for (uint32_t i = 0; i < t.capacity; i++) {
        run = t.hashes[i] ? run + 1 : 0;
        if (run > longest) longest = run;
    }
    return longest;
}

TEST_CASE("an empty map finds nothing and holds no memory") {
    size_t before = mem_used();
    Checked c;
    c.find(1);
    c.remove(1);
    c.walk();
    c.insert(1);
    c.find(1);
    c.find(2);
    CHECK(mem_used() > before);
    c.remove(1);
    CHECK(mem_used() == before);
    c.end();
}

TEST_CASE("a small map behaves like std::unordered_map") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    size_t before = mem_used();
    for (int round = 0; round < 30; round++) {
        Checked c;
        // Few hashes, many keys: runs wrap around and keys collide.
        if (round % 3 == 1) c.hash_mask = 0xf;
        if (round % 3 == 2) c.hash_mask = 0xf00000000000000f;
        uint64_t range = 1 + random.below(300);
        for (int i = 0; i < 3000; i++) {
            uint64_t key = random.below(range);
            if (c.model.count(key) || random.one_in(3)) {
                c.remove(key);
            } else {
                c.insert(key);
            }
            c.find(random.below(range));
            must(c.map.size() == c.model.size());
            if (i % 100 == 0) c.walk();
        }
        c.end();
    }
    CHECK(mem_used() == before);
}

TEST_CASE("a large map behaves like std::unordered_map while it moves") {
    Random random;
    INFO("KNUT_SEED=", random.seed);
    size_t before = mem_used();
    Checked c;
    uint64_t added = 0, removed = 0; // live keys: about [removed, added)
    bool has_grown = false, has_shrunk = false;
    for (uint64_t goal : {210000u, 500u, 110000u, 40000u, 60000u, 0u}) {
        while (c.model.size() != goal) {
            bool is_up = c.model.size() < goal;
            uint32_t capacity = c.map.now.capacity;
            if (random.one_in(5) != is_up) {
                c.insert(added++);
            } else if (removed < added) {
                // Mostly the oldest, sometimes any.
                c.remove(random.one_in(4) ? random.below(added) : removed++);
            }
            has_grown |= c.map.old.capacity && c.map.now.capacity > capacity;
            has_shrunk |= c.map.old.capacity && c.map.now.capacity < capacity;
            c.find(random.below(added + 10));
            if (c.map.old.capacity && random.one_in(10000)) {
                c.walk();
                CHECK(longest_run(c.map.old) < 1000);
            }
        }
        c.walk();
        must(c.map.size() == c.model.size());
    }
    CHECK(has_grown);
    CHECK(has_shrunk);
    CHECK(c.worst > 0);
    CHECK(c.worst <= MAP_STEP);
    CHECK(c.map.now.capacity == 0);
    CHECK(mem_used() == before);
    c.end();
}

TEST_CASE("slots already moved do not lengthen look-ups in the old table") {
    Checked c;
    uint64_t n = 0;
    while (!c.map.old.capacity) c.insert(n++);
    uint32_t run = longest_run(c.map.old);
    CHECK(c.map.old.capacity > MAP_STEPWISE);
    while (c.map.old_next < c.map.old.capacity / 2) c.insert(n++);
    CHECK(longest_run(c.map.old) <= run);
    c.end();
}

TEST_CASE("a map keeps up with its growth and never moves twice at a time") {
    Checked c;
    uint32_t moves = 0;
    for (uint64_t i = 0; i < 500000; i++) {
        uint32_t capacity = c.map.now.capacity;
        bool was_moving = c.map.old.capacity != 0;
        c.insert(i);
        if (c.map.now.capacity == capacity) continue;
        moves++;
        REQUIRE_FALSE(was_moving);
        REQUIRE(c.map.now.capacity == (capacity ? capacity * 2 : 8));
    }
    CHECK(moves == 18); // 8 .. 1,048,576
    c.end();
}

TEST_CASE("a map that lost most of its entries gives their memory back") {
    size_t before = mem_used();
    Checked c;
    for (uint64_t i = 0; i < 400000; i++) c.insert(i);
    size_t full = mem_used() - before;
    for (uint64_t i = 0; i < 399000; i++) c.remove(i);
    CHECK(mem_used() - before < full / 50);
    for (uint64_t i = 399000; i < 400000; i++) c.find(i);
    c.walk();
    c.end();
    CHECK(mem_used() == before);
}
