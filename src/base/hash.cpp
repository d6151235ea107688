#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <bit>

// The four words of SipHash's state.
struct Sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(Sip *s) {
    s->a += s->b;
    s->c += s->d;
    s->b = std::rotl(s->b, 13) ^ s->a;
    s->d = std::rotl(s->d, 16) ^ s->c;
    s->a = std::rotl(s->a, 32);
    s->a += s->d;
    s->c += s->b;
    s->d = std::rotl(s->d, 21) ^ s->a;
    s->b = std::rotl(s->b, 17) ^ s->c;
    s->c = std::rotl(s->c, 32);
}

// Up to eight bytes as a number, the first one lowest, on any machine.
static inline uint64_t load(const char *p, size_t n) {
    uint64_t x = 0;
    memcpy(&x, p, n);
    if constexpr (std::endian::native == std::endian::big)
        x = __builtin_bswap64(x);
    return x;
}

static inline void mix(Sip *s, uint64_t word, int rounds) {
    s->d ^= word;
    for (int i = 0; i < rounds; i++) sip_round(s);
    s->a ^= word;
}

// Inline, so that the rounds are constants where it is called.
static inline uint64_t sip(const HashKey &key, Bytes v, int block_rounds,
                           int end_rounds) {
    // "somepseudorandomlygeneratedbytes", as the paper has it.
    Sip s{key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
          key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
    uint64_t last = static_cast<uint64_t>(v.size()) << 56;
    for (; v.size() >= 8; v.remove_prefix(8))
        mix(&s, load(v.data(), 8), block_rounds);
    if (!v.empty()) last |= load(v.data(), v.size());
    mix(&s, last, block_rounds);
    s.c ^= 0xff;
    for (int i = 0; i < end_rounds; i++) sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t hash_bytes(const HashKey &key, Bytes v) { return sip(key, v, 1, 3); }

uint64_t hash_sip24(const HashKey &key, Bytes v) { return sip(key, v, 2, 4); }

void random_bytes(void *out, size_t n) {
    char *p = static_cast<char *>(out);
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) abort(); // no secrets can be made: nothing may go on
        p += got;
        n -= static_cast<size_t>(got);
    }
}

HashKey hash_key_random() {
    HashKey key;
    random_bytes(&key, sizeof key);
    return key;
}
