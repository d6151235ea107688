// broker/session.h -- what the broker remembers of a client id.
#pragma once

#include "broker/state.h"

Session *session_find(Broker *, Bytes id);

// A new session of that id (which has none yet), offline in no sense yet: the
// caller makes it online or parks it at once.
Session *session_new(Broker *, Bytes id);

// The client has gone; the session stays until it expires, and the will (a
// reference that passes to the session; may be null) for its delay.
// Ends the session instead when its expiry is 0.
void session_park(Broker *, Session *, Message *will, uint32_t will_delay_s);

// The client is back: stops the clocks. A will that still waits is dropped
// [MQTT-3.1.3-9].
void session_unpark(Broker *, Session *);

// Ends the session for good: its will if one waits [MQTT-3.1.2-8], its
// subscriptions, what was under way (shared messages move on to another
// member). It must be offline or have lost its Client already.
void session_end(Broker *, Session *);

// Timers of Offline.
void session_on_expiry(Broker *, Offline *);
void session_on_will(Broker *, Offline *);

// The session's Traffic, made if need be.
Traffic *session_traffic(Session *);
// Frees the Traffic if nothing is in it any more.
void session_tidy(Session *);

// ---- rings -----------------------------------------------------------------

Entry *ring_push(Ring *, const Entry &);
inline Entry *ring_at(Ring *r, uint32_t i) {
    return &r->data[(r->head + i) & (r->capacity - 1)];
}
void ring_pop(Ring *); // the oldest
void ring_remove(Ring *, uint32_t i); // keeps the order; O(size)
void ring_free(Ring *);

// ---- shares: why a shared message is here ----------------------------------

// The slot for that group, made if need be.
uint32_t share_slot(Traffic *, Group *, uint32_t sub_id);
uint32_t entry_sub_id(const Traffic *, const Entry &);
