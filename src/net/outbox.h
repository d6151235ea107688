// net/outbox.h -- what waits to be sent on one connection; private to net/.
//
// A ring of chunks. Conn::out points to the last one, whose `next` is the
// first: both ends in eight bytes.
//
//      Conn::out ---.
//                   v
//     +------+   +------+
//     | 1st  |-->| last |--.      an own chunk:   | Chunk | bytes ...  |
//     +------+   +------+  |                        begin ^    ^ end  ^ size
//         ^                |      a reference:    | Chunk | Blob *, data |
//         `----------------'                        begin and end count in data
//
// The first chunk is small, so that a short message to a thousand receivers
// costs 512 bytes each; they grow with what waits. Small chunks are pooled.
#pragma once

#include <sys/uio.h>

#include "net/net.h"

struct Chunk {
    Chunk *next;    // the last one's: the first
    uint32_t begin; // what is not yet written: bytes [begin, end)
    uint32_t end;
    uint32_t size;  // room for own bytes behind this struct; 0: a reference
    uint32_t reserved;
};

// A chunk that refers to a part of a blob, and holds it.
struct BlobChunk {
    Chunk chunk; // first; size is 0
    Blob *blob;
    const char *data;
};

constexpr uint32_t CHUNK_SMALL = 512 - sizeof(Chunk);
constexpr uint32_t CHUNK_MIDDLE = 4096; // what conn_reserve promises
constexpr uint32_t CHUNK_LARGE = 16384 - sizeof(Chunk);
constexpr uint32_t CHUNKS_POOLED_MAX = 256; // 128 KiB
constexpr uint32_t CHUNKS_POOLED_IDLE = 16; // what a turn without output leaves

// Appends a copy; false if there is no memory (a part may have been appended).
[[nodiscard]] bool outbox_append(Conn *, Bytes);
// Room for `n` <= CHUNK_MIDDLE bytes at the end, or null; then outbox_commit.
char *outbox_room(Conn *, uint32_t n);
void outbox_commit(Conn *, uint32_t n);
[[nodiscard]] bool outbox_append_blob(Conn *, Blob *, Bytes part);

// Fills `iov` with the first `limit` bytes, as far as `count` entries reach;
// returns the entries used.
int outbox_gather(const Conn *, iovec *iov, int count, uint32_t limit);
// Drops the first `n` bytes: they are written.
void outbox_consume(Conn *, uint32_t n);
void outbox_clear(Conn *);

// Gives pooled chunks back until `keep` are left.
void outbox_pool_trim(Net *, uint32_t keep);
