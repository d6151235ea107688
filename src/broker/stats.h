// broker/stats.h -- what is counted, for $SYS (and the metrics).
//
// Plain counters, written where the thing happens. Everything that can be
// derived (clients, subscriptions, retained, memory) is asked for instead.
#pragma once

#include <stdint.h>

struct Stats {
    uint64_t packets_in = 0;          // MQTT packets of all types
    uint64_t packets_out = 0;
    uint64_t publish_in = 0;          // PUBLISH packets
    uint64_t publish_out = 0;
    uint64_t publish_bytes_in = 0;    // their payloads
    uint64_t publish_bytes_out = 0;
    uint64_t publish_dropped = 0;     // copies dropped at a limit
    uint64_t connects = 0;            // CONNECTs accepted
    uint64_t refused = 0;             // CONNECTs refused
    uint64_t expired_sessions = 0;
    uint64_t expired_messages = 0;
    uint64_t queued = 0;              // copies that wait in sessions' queues now
    uint64_t queued_bytes = 0;        // their payloads
    uint32_t clients_maximum = 0;     // most sessions there ever were
};
