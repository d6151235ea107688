#include "net/outbox.h"

static BlobChunk *as_blob(Chunk *k) { return reinterpret_cast<BlobChunk *>(k); }

static char *own_bytes(Chunk *k) { return reinterpret_cast<char *>(k + 1); }

static const char *bytes_of(Chunk *k) { return k->size ? own_bytes(k) : as_blob(k)->data; }

// ---- chunks ----------------------------------------------------------------

// The more waits, the larger the next chunk; behind a reference it is small,
// since it will hold a PUBLISH's head and the next reference follows.
static uint32_t choose_size(const Conn *c, size_t need) {
    uint32_t backlog = c->backlog;
    bool is_head = c->out && !c->out->size;
    if ((!backlog || is_head) && need <= CHUNK_SMALL) return CHUNK_SMALL;
    return backlog < CHUNK_MIDDLE && need <= CHUNK_MIDDLE ? CHUNK_MIDDLE : CHUNK_LARGE;
}

static Chunk *chunk_new(Net *net, uint32_t size) {
    Chunk *k = net->chunk_pool;
    if (size == CHUNK_SMALL && k) {
        net->chunk_pool = k->next;
        net->chunks_pooled--;
    } else {
        k = static_cast<Chunk *>(mem_try(sizeof(Chunk) + size));
        if (!k) return nullptr;
    }
    k->begin = k->end = 0;
    k->size = size;
    return k;
}

static void chunk_free(Net *net, Chunk *k) {
    if (!k->size) blob_release(net, as_blob(k)->blob);
    if (k->size != CHUNK_SMALL || net->chunks_pooled >= CHUNKS_POOLED_MAX)
        return mem_free(k);
    k->next = net->chunk_pool;
    net->chunk_pool = k;
    net->chunks_pooled++;
}

void outbox_pool_trim(Net *net, uint32_t keep) {
    while (net->chunks_pooled > keep) {
        Chunk *k = net->chunk_pool;
        net->chunk_pool = k->next;
        net->chunks_pooled--;
        mem_free(k);
    }
}

// ---- the ring --------------------------------------------------------------

static void push_last(Conn *c, Chunk *k) {
    if (c->out) {
        k->next = c->out->next;
        c->out->next = k;
    } else {
        k->next = k;
    }
    c->out = k;
}

static void pop_first(Conn *c) {
    Chunk *first = c->out->next;
    if (first == c->out) c->out = nullptr;
    else c->out->next = first->next;
    chunk_free(conn_net(c), first);
}

static uint32_t room_at_end(const Conn *c) {
    return c->out && c->out->size ? c->out->size - c->out->end : 0;
}

static bool grow(Conn *c, size_t need) {
    Chunk *k = chunk_new(conn_net(c), choose_size(c, need));
    if (k) push_last(c, k);
    return k;
}

// ---- in --------------------------------------------------------------------

bool outbox_append(Conn *c, Bytes v) {
    while (!v.empty()) {
        if (!room_at_end(c) && !grow(c, v.size())) return false;
        uint32_t room = room_at_end(c);
        uint32_t n = v.size() < room ? static_cast<uint32_t>(v.size()) : room;
        memcpy(own_bytes(c->out) + c->out->end, v.data(), n);
        outbox_commit(c, n);
        v.remove_prefix(n);
    }
    return true;
}

char *outbox_room(Conn *c, uint32_t n) {
    if (room_at_end(c) < n && !grow(c, n)) return nullptr;
    return own_bytes(c->out) + c->out->end;
}

void outbox_commit(Conn *c, uint32_t n) {
    c->out->end += n;
    c->backlog += n;
}

bool outbox_append_blob(Conn *c, Blob *blob, Bytes part) {
    auto *b = static_cast<BlobChunk *>(mem_try(sizeof(BlobChunk)));
    if (!b) return false;
    b->chunk = {nullptr, 0, static_cast<uint32_t>(part.size()), 0, 0};
    b->blob = blob;
    b->data = part.data();
    blob_hold(blob);
    push_last(c, &b->chunk);
    c->backlog += b->chunk.end;
    return true;
}

// ---- out -------------------------------------------------------------------

int outbox_gather(const Conn *c, iovec *iov, int count, uint32_t limit) {
    int n = 0;
    if (!c->out) return 0;
    for (Chunk *k = c->out->next; limit && n < count; k = k->next) {
        uint32_t have = k->end - k->begin;
        if (have > limit) have = limit;
        if (have) iov[n++] = {const_cast<char *>(bytes_of(k)) + k->begin, have};
        limit -= have;
        if (k == c->out) break;
    }
    return n;
}

void outbox_consume(Conn *c, uint32_t n) {
    c->backlog -= n;
    while (c->out) {
        Chunk *first = c->out->next;
        uint32_t have = first->end - first->begin;
        if (n < have) {
            first->begin += n;
            return;
        }
        n -= have;
        pop_first(c);
    }
}

void outbox_clear(Conn *c) {
    while (c->out) pop_first(c);
    c->backlog = 0;
}
