// broker/deliver.h -- from a session's subscriptions to its client.
#pragma once

#include "broker/state.h"

// What of a message goes to one receiver.
struct Delivery {
    Group *group = nullptr;  // shared: the group it was chosen from
    uint32_t sub_id = 0;
    uint8_t qos = 0;         // effective
    bool retain = false;     // the flag to send
};

// Sends the message if the client is there and its window is open, queues it,
// or drops it at a limit (counted). `b->frames` saves encoding it anew.
void deliver(Broker *, Session *, Message *, const Delivery &);

// True if a QoS 1 or 2 message could be sent to this session right now.
bool deliver_window_open(Broker *, const Session *);

// After a CONNACK: what was in flight goes first, with DUP, in order
// [MQTT-4.4.0-1]; then the queue.
void deliver_resume(Broker *, Client *);

// Sends from the queue what the window allows; then replays retained messages
// for new subscriptions. Call it whenever something came free.
void deliver_more(Broker *, Client *);

// PUBACK, PUBREC, PUBCOMP came for `id`. Returns false when nothing like that
// was in flight; `*wrong` is set when the id is in flight for something else.
bool deliver_acked(Broker *, Client *, PacketType, uint16_t id, Reason, bool *wrong);

// Lets go of an entry's message and of what it holds in the counts.
void entry_drop(Broker *, Entry *);

// Everything in the session's queues that came from `group` is detached from
// it: QoS 2 in flight stays [MQTT-4.8.2-5], the rest is given to another
// member, if there is one.
void deliver_leave_group(Broker *, Session *, Group *);

// The whole traffic of a session that ends: shared messages move on.
void deliver_drop_all(Broker *, Session *);

// Chooses the member of a group that gets the next message: strictly in turn
// among those that are connected and have an open window, else in turn among
// all. Null when the group has no member but `except`.
Sub *group_choose(Broker *, Group *, const Message *, const Session *except);
