// broker/publish.h -- a message to everybody who subscribes to its topic.
#pragma once

#include "broker/state.h"

// Makes a message of `parts`, stores it if it is retained, and delivers it to
// every matching subscription. Returns how many sessions it was meant for
// (delivered, queued or dropped at a limit); -1 when there was no memory for
// it: then nothing has happened.
int64_t publish_parts(Broker *, const MessageParts &);

// The same for a message that exists. The reference stays the caller's.
int64_t publish_message(Broker *, Message *);

// A will, made with `now_ms` 0: its expiry counts from here. The reference
// passes to this function; null is allowed.
void publish_will(Broker *, Message *);

// From the broker itself: $SYS, logs. QoS of the subscriptions is respected.
void publish_internal(Broker *, Bytes topic, Bytes payload, uint8_t qos, bool retain);

// Would this subscription only give the publisher its own message back? No
// Local compares client ids [MQTT-3.8.3-3]; a bridge's subscriptions all have
// it [BR-2].
bool publish_is_own(const Session *, const Sub &, const Message *);

struct Delivery;
// What a subscription makes of a message: QoS and RETAIN to send.
Delivery publish_delivery(const Broker *, const Session *, const Sub &, const Message *);
