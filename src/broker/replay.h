// broker/replay.h -- retained messages for new subscriptions.
//
// Each new subscription gets a cursor over the retained store. It goes on as
// the receiver drains: never a burst into a queue that may overflow, however
// many messages match. What is left belongs to the session and goes on after
// a reconnect. A value is sent as it is at that moment; what is newer than the
// subscription was delivered live already and is skipped.
#pragma once

#include "broker/state.h"

// A new subscription's retained messages, on their way.
struct Replay {
    Replay *next = nullptr;
    RetainedCursor *cursor = nullptr;
    uint64_t seq = 0;      // messages newer than this were delivered live, but
    uint64_t away_seq = UINT64_MAX; // for those of QoS 0 between these two, which
    uint64_t back_seq = 0;          // came while the client was away
    uint32_t sub_id = 0;
    uint16_t filter_size = 0;
    uint8_t qos = 0;
    bool no_local = false;
    bool is_cancelled = false; // the subscription is gone, or was made anew
    char filter[1] = "";   // `filter_size` bytes, really
};

struct ReplayByFilter {
    static bool equal(const Replay *r, Bytes filter) {
        return Bytes(r->filter, r->filter_size) == filter;
    }
};
struct ReplayMap {
    Map<Replay *, Bytes, ReplayByFilter> by_filter;
};

// Begins one for a subscription of `filter` (mount point included), in place
// of one that is still under way for the same filter.
void replay_begin(Broker *, Session *, Bytes filter, const SubOptions &);

// Sends what the window and the outbox take. Returns when they are full, when
// nothing is left, or when it has worked long enough for one turn: then the
// session is on Broker::replays and replay_continue goes on.
void replay_run(Broker *, Client *);

// Goes on with every session that ran out of its budget in an earlier turn.
void replay_continue(Broker *);

// Ends the replay of that filter, if there is one: the subscription was removed
// [MQTT-3.10.4-2]. O(1).
void replay_cancel(Broker *, Session *, Bytes filter);

// The client goes away, and comes back: messages of QoS 0 are not kept for it
// meanwhile, so that a retained one of them is still due.
void replay_pause(Broker *, Session *);
void replay_resume(Broker *, Session *);

// Ends all of them.
void replay_end_all(Broker *, Session *);
