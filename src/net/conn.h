// net/conn.h -- what the files of a connection share; private to net/.
//
// Ends and their states:
//
//     open --- broken or peer gone --> DEAD --> on_closed, freed   (conn_die)
//      |`----- WebSocket error, ----> CLOSING, still OPEN          (conn_end)
//      |       Close from the peer      |  on_closed at the turn's end
//      |`----- the owner closes ----> CLOSING                      (conn_close)
//      |                                | all is written
//      |                              LINGER: shut down, waits for the peer
//      |                                | it is gone, or time is up
//      `------ the owner aborts ----> DEAD --> freed               (conn_abort)
#pragma once

#include "net/net.h"

// Kinds of Net::wheel's timers.
constexpr uint8_t TIMER_HANDSHAKE = 1; // WsHandshake::timer
constexpr uint8_t TIMER_ENDING = 2;    // Ending::timer

constexpr uint32_t FLUSH_AT_END_MS = 5000; // for output that a slow peer leaves
constexpr uint32_t LINGER_MS = 2000;       // for the peer to read the last of it
constexpr uint32_t ENDING_MAX = 1024;      // more at once are cut off

// Exists while an end takes longer than the turn; Conn::user points to it then.
struct Ending {
    Timer timer; // first
    Conn *conn;
};

// Puts it on the list of those that net_end_turn looks after.
void conn_mark_dirty(Conn *);
// Tells the kernel what is waited for, if that has changed.
void conn_update_interest(Conn *);
// No input, no output from now on; reaped when the turn ends.
void conn_die(Conn *, CloseCause);
// Ends from net's side: flush and close in order, on_closed when the turn ends.
void conn_end(Conn *, CloseCause, uint16_t ws_code);
// The same before on_open: tells on_refused instead, if there is a `why`.
void conn_refuse(Conn *, CloseCause, const char *why);
// Is there anything that writing could get rid of?
bool conn_has_output(const Conn *);
// Writes until all is out or the kernel refuses; no callbacks but on_blob_free.
void conn_write(Conn *);
// What a Conn that has been flushed needs: on_closed, shutdown, linger.
void conn_go_on_ending(Conn *);
// Tells the owner, once.
void conn_tell_closed(Conn *);
// Frees it. Not on the dirty or the reap list.
void conn_destroy(Conn *);
void ending_on_due(Ending *);

// net.cpp: output went out or a connection ended.
void net_on_timer(void *net, Timer *);
// accept.cpp
void accept_on_ready(struct ListenSocket *);
void accept_pause(Net *);
void accept_resume(Net *);
