// broker/send.h -- a PUBLISH onto one connection: the frame of a fan-out is
// encoded once for each kind of receiver and shared.
#pragma once

#include "broker/state.h"

// What is particular about this sending.
struct Sending {
    uint32_t sub_id = 0;
    uint16_t id = 0;     // packet id; 0 exactly with QoS 0
    uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
};

// Appends the PUBLISH to the client's outbox. False when it is too large for
// this client [MQTT-3.1.2-25]: then it counts as delivered.
bool send_publish(Broker *, Client *, Message *, const Sending &);

void frames_free(Broker *);
