// broker/merge.h -- one copy a client (allow_duplicate_messages false).
#pragma once

#include "broker/state.h"

// Delivers to the plain subscribers of all these filters: one copy a session,
// at its highest QoS, with all its identifiers. Returns how many sessions.
// O(n log n) in the number of matching subscriptions.
int64_t merge_deliver(Broker *, Message *, const Vec<Filter *> &matches);
