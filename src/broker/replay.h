// broker/replay.h -- retained messages for new subscriptions.
//
// Each new subscription gets a cursor over the retained store. It goes on as
// the receiver drains: never a burst into a queue that may overflow, however
// many messages match. What is left belongs to the session and goes on after
// a reconnect. A value is sent as it is at that moment; what is newer than the
// subscription was delivered live already and is skipped.
#pragma once

#include "broker/state.h"

// Begins one for a subscription of `filter` (mount point included). It ends by
// itself when that subscription is gone [MQTT-3.10.4-2].
void replay_begin(Broker *, Session *, Bytes filter, const SubOptions &);

// Sends what the window and the outbox take. Returns when they are full, when
// nothing is left, or when it has worked long enough for one turn: then the
// session is on Broker::replays and replay_continue goes on.
void replay_run(Broker *, Client *);

// Goes on with every session that ran out of its budget in an earlier turn.
void replay_continue(Broker *);

// The client is back: what it missed meanwhile counts as not delivered live.
void replay_resume(Broker *, Session *);

// Ends all of them.
void replay_end_all(Broker *, Session *);
