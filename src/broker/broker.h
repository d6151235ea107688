// broker/broker.h -- the broker room, seen from outside.
//
// Drivable without a socket, a file or a clock: connections come through Net's
// callbacks (which tests drive with memory), time comes as net->now_ms.
#pragma once

#include "base/hash.h"
#include "broker/options.h"
#include "net/net.h"

struct Broker;
struct Store;

struct BrokerSetup {
    HashKey hash_key;              // random in life, fixed in tests
    const char *program = "knut";  // for $SYS/broker/version
    const char *version = "";
    uint64_t (*wall_ms)() = nullptr; // wall clock, for people only
};

// The callbacks to give to net_create; its owner must be the Broker.
NetEvents broker_net_events();

// `options` and the store are borrowed and must outlive the broker; the store
// may be null (everything lives in memory). The Net is set by broker_attach.
Broker *broker_create(const BrokerSetup &, const BrokerOptions *options, Store *);
void broker_attach(Broker *, Net *);
// Ends all that is left without a word. Call before net_free... see broker_stop.
void broker_free(Broker *);

// Fires what is due at net->now_ms; to be called once a turn, after net_turn.
void broker_tick(Broker *);
// When broker_tick should be called next (boot time, ms).
uint64_t broker_next_ms(const Broker *);

// After the options changed (a reload): takes up what needs taking up.
void broker_options_changed(Broker *);

// Before a listener goes: sends its clients away (5.0: 0x98).
void broker_drop_listener(Broker *, const Listener *);

// The beginning of the end: publishes the wills that the standard wants, sends
// DISCONNECT 0x8B to 5.0 clients, closes every connection.
void broker_stop(Broker *);

// Logs the subscription tree (SIGUSR2).
void broker_log_subscriptions(Broker *);

// A line for `log_dest topic`: published to $SYS/broker/log/E|W|N|I|... at the
// end of the turn, since it may be logged in the middle of anything.
void broker_publish_log(Broker *, uint32_t log_type, Bytes line);
