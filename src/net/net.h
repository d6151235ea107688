// net/net.h -- connections: bytes in, bytes out, over TCP, Unix sockets and
// WebSocket. Knows nothing of MQTT.
//
// The owner (the broker room) is told through NetEvents; it sends with
// conn_send and friends and ends with conn_close. One Net is driven by one
// thread: net_turn does one tick of the reactor (see DESIGN in src/README.md):
// wait, read, timers, then net_end_turn: flush every connection that got
// output, and reap what was closed.
//
// Life of a Conn: made on accept (or conn_create in tests); for WebSocket the
// HTTP upgrade comes first; then on_open; then on_data as bytes arrive. Its end
// is one of two, never both:
//   - net finds it broken or closed by the peer: on_closed, at the end of the
//     turn; afterwards the Conn is gone;
//   - the owner calls conn_close or conn_abort: no more callbacks at all, `user`
//     is not touched again, what was sent before is still flushed by conn_close.
// Nobody frees a Conn inside a callback: it is marked and reaped when the turn
// ends.
#pragma once

#include <sys/uio.h>

#include "base/blob.h"
#include "base/pool.h"
#include "base/bytes.h"
#include "base/vec.h"
#include "base/wheel.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/neighbours.h"
#include "net/reactor.h"

struct Chunk; // a piece of an outbox (outbox.h)
struct Ws;    // WebSocket state: upgrade, framing (websocket.h)
struct Net;
struct Conn;

// What a Watch belongs to.
enum WatchKind : uint8_t { WATCH_CONN, WATCH_LISTEN, WATCH_CALL };

// A descriptor of somebody else (a signal pipe, an eventfd) on this reactor.
struct CallWatch {
    Watch watch;
    void (*on_ready)(void *user, uint8_t ready) = nullptr;
    void *user = nullptr;
};

enum class CloseCause : uint8_t {
    PeerClosed,    // orderly end of the stream, or a WebSocket Close
    Error,         // read or write failed (reset, timed out)
    BadWebSocket,  // the peer broke RFC 6455
    BadRequest,    // the HTTP request was refused, or a limit reached (before on_open)
    Timeout,       // no complete handshake in time (before on_open)
    NoMemory,      // an outbox could not grow
};
const char *close_cause_text(CloseCause); // as Mosquitto words it; never null

// Bits of Conn::state, all private to net/ except through the functions below.
enum ConnState : uint16_t {
    CONN_OPEN = 1,        // on_open was called, on_closed was not
    CONN_DIRTY = 2,       // on the list of those to flush
    CONN_BLOCKED = 4,     // the kernel has refused to take more
    CONN_PAUSED = 8,      // the owner wants no input for now
    CONN_CLOSING = 16,    // the owner has closed; output is still flushed
    CONN_LINGER = 32,     // all is written and shut down; waiting for the peer
    CONN_DEAD = 64,       // nothing goes in or out; on the list to reap
    CONN_OVER_HIGH = 128, // backlog was over DRAINED_LOW: on_drained is due
    CONN_BROKEN = 256,    // writing has failed; what came in before is still read
};

// The seam below a connection: real sockets, or memory in tests.
struct ConnOps {
    // As read(2) and writev(2): -1 and errno on failure.
    ssize_t (*read)(Conn *, void *, size_t);
    ssize_t (*writev)(Conn *, const iovec *, int n);
    // Changes what is waited for (READY_*).
    void (*interest)(Conn *, uint8_t);
    // Ends sending: the peer reads an end of stream behind what was written.
    void (*shutdown)(Conn *);
    void (*close)(Conn *);
    // Bytes that wait to be read, or 0 if that cannot be told.
    size_t (*pending)(Conn *);
};

struct Conn {
    Watch watch;               // first: the reactor hands it back
    Listener *listener = nullptr; // never null while the Conn lives; knows its Net
    void *user = nullptr;      // the owner's; null before on_open sets it
    Chunk *out = nullptr;      // what waits to be sent; null when nothing does
    Ws *ws = nullptr;          // null on plain connections
    Conn *next = nullptr;      // on the dirty or the reap list
    uint32_t backlog = 0;      // bytes in `out`
    Addr peer;
    uint16_t state = 0;        // ConnState
    CloseCause cause = CloseCause::PeerClosed;
    Home home = Home::Stranger; // is the peer at home (neighbours.h)?
};
static_assert(sizeof(Conn) <= 80);

struct NetEvents {
    void (*on_open)(Conn *);       // may close; `user` is null and free to set
    void (*on_data)(Conn *, Bytes); // the bytes are valid during the call only
    // The backlog was over DRAINED_LOW and has fallen to it or under it. At most
    // once a turn for each connection, and never inside a call of the owner's.
    void (*on_drained)(Conn *);
    void (*on_closed)(Conn *, CloseCause); // last call for this Conn
    void (*on_blob_free)(void *owner, Blob *); // the last reference is gone
    // A connection was refused or ended before on_open; for the log only.
    void (*on_refused)(Conn *, CloseCause, const char *why);
};

struct NetOptions {
    uint32_t handshake_timeout_ms = 10000; // to a complete HTTP upgrade
    int64_t max_connections = -1;          // global_max_connections; -1: no limit
    int64_t max_unauthenticated = 1000;    // connections before conn_authenticated
    int64_t max_unauthenticated_per_address = 50; // loopback and Unix: no limit
    int64_t max_connections_per_address = -1;
    bool nodelay = false;                  // TCP_NODELAY (we batch ourselves)
};

constexpr size_t RECEIVE_BUFFER = 64 * 1024;
constexpr uint32_t OUTBOX_WRITE_AT = 64 * 1024; // a backlog of this is written at once
constexpr uint32_t DRAINED_LOW = 32 * 1024;     // on_drained when it falls to this

struct AddrCounts; // counts per address, for two of the limits (limits.h)

struct Net {
    Reactor *reactor = nullptr;  // null in tests that drive Conns by hand
    NetEvents events = {};
    void *owner = nullptr;       // for the owner: its broker
    void *ops_user = nullptr;    // for the ConnOps of tests
    NetOptions options;
    Wheel wheel;                 // handshake and linger timers
    uint64_t now_ms = 0;         // cached: boot time at the start of the turn
    Conn *dirty = nullptr;
    Conn *reap = nullptr;
    Chunk *chunk_pool = nullptr; // small chunks for reuse
    uint32_t chunks_pooled = 0;
    char *receive = nullptr;     // RECEIVE_BUFFER bytes, shared by all
    Neighbours neighbours;
    Vec<Listener *> listeners;   // the open ones
    Pool conns;                  // all that exist
    Pool sockets_ws;             // their Ws
    AddrCounts *by_address = nullptr;
    uint32_t connections = 0;    // Conns that exist, those that end included
    uint32_t counted = 0;        // those that nobody has closed yet
    uint32_t unauthenticated = 0;
    uint32_t ending = 0;         // those that wait for their last bytes or the peer
    bool clock_fresh = false;    // now_ms was read in this turn
    bool accepting_paused = false; // out of descriptors
    uint64_t accept_again_ms = 0;  // when paused: try again then
    uint64_t shortage_told_ms = 0; // when the log was last told of it
    // counters for $SYS
    uint64_t bytes_in = 0, bytes_out = 0, accepted = 0, refused = 0;
};

// `events` is copied. With `with_reactor` false the caller drives Conns made by
// conn_create itself. Null if the system refuses a reactor.
Net *net_create(const NetEvents &events, void *owner, bool with_reactor);
// Aborts what is left, without callbacks but on_blob_free. Listeners end too.
void net_free(Net *);

// Ends every connection at once, without callbacks; what was not written is
// lost. `user` is not touched: the owner has ended whatever it points to.
void net_abort_all(Net *);

// One turn: waits until something is ready or `until_ms` (boot time;
// UINT64_MAX: no limit), reads, fires timers. The caller then does its own
// timers and ends with net_end_turn.
void net_turn(Net *, uint64_t until_ms);
// Flushes what got output, calls on_closed for what broke, reaps.
void net_end_turn(Net *);
// Fires net's own timers (net_turn does; tests without a reactor call it).
void net_advance(Net *, uint64_t now_ms);
// When net's own next timer is due.
uint64_t net_next_ms(const Net *);

[[nodiscard]] bool net_watch(Net *, CallWatch *, int fd, uint8_t interest);
void net_unwatch(Net *, CallWatch *);

// ---- connections -----------------------------------------------------------

// The Net that a connection belongs to.
inline Net *conn_net(const Conn *c) { return c->listener->net; }

// A connection over `fd` (or over anything, with other ops: the same for all
// of one listener), counted on the
// listener. For a WebSocket listener it begins with the HTTP upgrade, else
// on_open is called at once. Null (and the ops' close was called) when it is
// refused: a limit, or no memory.
Conn *conn_create(Net *, Listener *, const ConnOps *, int fd, const Addr &peer);
extern const ConnOps SOCKET_OPS;

// What the reactor calls; tests with their own ops call them too.
void conn_on_readable(Conn *);
void conn_on_writable(Conn *);

// Appends a copy. After an end of any kind: no effect.
void conn_send(Conn *, Bytes);
// Room for `n` bytes to write into, n <= 4096; then conn_commit(n or less).
// Null after an end of any kind. Valid until the next call for this Conn.
char *conn_reserve(Conn *, uint32_t n);
void conn_commit(Conn *, uint32_t n);
// Appends without copying: holds a reference to `blob` (of which `part` is a
// piece) until it is written.
void conn_send_blob(Conn *, Blob *blob, Bytes part);

inline bool conn_blocked(const Conn *c) { return c->state & CONN_BLOCKED; }
// True once no more can be sent or will come in.
inline bool conn_closing(const Conn *c) { return c->state & (CONN_CLOSING | CONN_DEAD); }

// Tells that this peer has shown who it is (limits before authentication).
void conn_authenticated(Conn *);

// No on_data until resumed; the kernel's buffer fills and slows the peer.
void conn_pause(Conn *);
void conn_resume(Conn *);
// Bytes of input that wait unread in the kernel.
size_t conn_pending(Conn *);

// What a WebSocket peer is told; plain connections just close.
enum class WsClose : uint16_t {
    Normal = 1000,
    GoingAway = 1001,
    ProtocolError = 1002,
    UnsupportedData = 1003,
    PolicyViolation = 1008,
    TooBig = 1009,
    InternalError = 1011,
    TryAgainLater = 1013,
};
// Ends: what was sent is flushed first (for some seconds at most), then a
// WebSocket Close frame, then the stream. No callbacks any more.
void conn_close(Conn *, WsClose);
// Ends now; what was not written is lost. No callbacks any more.
void conn_abort(Conn *);

// Tries to write now instead of at the end of the turn.
void conn_flush(Conn *);

// ---- blobs -----------------------------------------------------------------

inline void blob_hold(Blob *b) { b->refs++; }
inline void blob_release(Net *net, Blob *b) {
    if (--b->refs == 0) net->events.on_blob_free(net->owner, b);
}
