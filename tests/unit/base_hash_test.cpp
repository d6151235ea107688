#include "base/hash.h"

#include <doctest/doctest.h>

#include <bit>
#include <memory>
#include <set>

#include "unit/base_random.h"

// The bytes 0, 1, 2, ... in a block of exactly their size.
struct Counted {
    std::unique_ptr<char[]> block;
    size_t size;

    explicit Counted(size_t n) : block(new char[n]), size(n) {
        for (size_t i = 0; i < n; i++) block[i] = static_cast<char>(i);
    }
    operator Bytes() const { return {block.get(), size}; }
};

TEST_CASE("SipHash-2-4 gives the values published with it") {
    HashKey key{0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    CHECK(hash_sip24(key, Counted(0)) == 0x726fdb47dd0e0e31u);
    CHECK(hash_sip24(key, Counted(15)) == 0xa129ca6149be45e5u);
}

// Python 3.11 hashes bytes with SipHash-1-3, its key zero if PYTHONHASHSEED is:
// PYTHONHASHSEED=0 python3 -c 'print(hex(hash(bytes(range(7))) % 2**64))'
TEST_CASE("SipHash-1-3 gives the values that Python has") {
    struct {
        size_t size;
        uint64_t hash;
    } static const known[] = {
        {1, 0x68a914128e01e473u},  {7, 0x2f098ab0c751325au},
        {8, 0xead411e67ebe2eeau},  {9, 0x75927f9d95124362u},
        {15, 0xf30eb725bb91c9eau}, {16, 0x8972188433a5c5b7u},
        {63, 0x385d3e39e5f37359u},
    };
    for (auto &k : known) {
        CAPTURE(k.size);
        CHECK(hash_bytes({}, Counted(k.size)) == k.hash);
    }
}

TEST_CASE("equal bytes have equal hashes, wherever they lie") {
    HashKey key = hash_key_random();
    char block[80];
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < 64; i++) block[shift + i] = static_cast<char>(i);
        CHECK(hash_bytes(key, Bytes(block + shift, 64)) ==
              hash_bytes(key, Counted(64)));
    }
    CHECK(hash_bytes(key, Bytes()) == hash_bytes(key, ""));
}

TEST_CASE("another key is another hash") {
    HashKey a = hash_key_random(), b = hash_key_random();
    CHECK(a.k0 != b.k0);
    CHECK(a.k1 != b.k1);
    CHECK(hash_bytes(a, "midge") != hash_bytes(b, "midge"));
    CHECK(hash_bytes({1, 0}, "midge") != hash_bytes({0, 1}, "midge"));
}

TEST_CASE("each bit of the input moves about half the bits of the hash") {
    HashKey key{1, 2};
    for (size_t size : {1u, 7u, 8u, 20u}) {
        std::string text(size, 'x');
        uint64_t whole = hash_bytes(key, text);
        int moved = 0;
        for (size_t bit = 0; bit < size * 8; bit++) {
            std::string other = text;
            other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
            moved += std::popcount(whole ^ hash_bytes(key, other));
        }
        double mean = moved / (static_cast<double>(size) * 8);
        CAPTURE(size);
        CHECK(mean > 26);
        CHECK(mean < 38);
    }
}

TEST_CASE("numbers are mixed without a collision and into all bits") {
    std::set<uint64_t> seen;
    uint64_t ones = 0, zeros = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t h = hash_mix(i);
        seen.insert(h);
        ones |= h;
        zeros |= ~h;
    }
    CHECK(seen.size() == 10000);
    CHECK(ones == UINT64_MAX);
    CHECK(zeros == UINT64_MAX);
}

TEST_CASE("random bytes fill what they are asked to and no more") {
    uint8_t block[70] = {};
    uint8_t any[70] = {};
    for (int i = 0; i < 20; i++) {
        random_bytes(block + 1, 68);
        for (int j = 0; j < 70; j++) any[j] |= block[j];
    }
    CHECK(any[0] == 0);
    CHECK(any[69] == 0);
    for (int j = 1; j < 69; j++) CHECK(any[j] != 0);
    random_bytes(nullptr, 0);
}
