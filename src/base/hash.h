// base/hash.h -- a keyed hash for tables whose keys strangers choose.
//
// The key is random per process (per Broker), so that nobody can prepare
// keys that collide. SipHash-1-3: about a nanosecond a byte, no tables.
#pragma once

#include "base/bytes.h"

struct HashKey {
    uint64_t k0 = 0;
    uint64_t k1 = 0;
};

// 64 well mixed bits of `v`.
uint64_t hash_bytes(const HashKey &key, Bytes v);

// The same with two rounds a block and four at the end, for which test vectors
// are published. Tests only.
uint64_t hash_sip24(const HashKey &key, Bytes v);

// Mixes a number so that every input bit reaches every output bit (not keyed).
inline uint64_t hash_mix(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

// A key from the system's random source (getrandom); aborts if there is none.
HashKey hash_key_random();

// Fills `out` with random bytes from the system.
void random_bytes(void *out, size_t n);
