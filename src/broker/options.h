// broker/options.h -- what the configuration decides about the broker.
//
// Filled by config/, read by broker/. A reload writes new values into the same
// structs between two turns; nothing here is cached elsewhere, except what the
// client was told in its CONNACK (Client holds that).
#pragma once

#include "base/bytes.h"
#include "base/vec.h"

constexpr size_t ID_PREFIX_MAX = 50;

// Who may connect without a user name.
enum class Anonymous : uint8_t {
    No,
    Yes,
    Home, // nothing was said: from home networks only (net/neighbours.h)
};

// What belongs to one listener. Listener::user points to it; it lives as long
// as the Listener.
struct ListenerPolicy {
    Anonymous anonymous = Anonymous::Home;
    bool allow_zero_length_clientid = true;
    bool use_username_as_clientid = false;
    char auto_id_prefix[ID_PREFIX_MAX + 1] = "auto-";
    bool accept_v31 = true, accept_v311 = true, accept_v5 = true;
    uint8_t max_qos = 2;
    uint16_t max_topic_alias = 10;        // aliases a client may make
    uint16_t max_topic_alias_broker = 10; // aliases we make towards one client
    char mount_point[256] = "";           // put before every topic; no wildcards
    uint32_t max_outbox_bytes = 0;        // 0: 1 MiB plus one packet
};

struct BrokerOptions {
    // per client
    uint16_t max_inflight_messages = 20;  // 0 and 65535: no limit
    uint64_t max_inflight_bytes = 0;      // 0: no limit
    uint32_t max_queued_messages = 1000;  // beyond those in flight; 0: no limit
    uint64_t max_queued_bytes = 0;        // 0: no limit
    bool queue_qos0_messages = false;
    bool upgrade_outgoing_qos = false;
    bool allow_duplicate_messages = true; // one copy per matching subscription
    Vec<Bytes> clientid_prefixes;         // empty: any id may connect

    // packets
    uint32_t max_packet_size = 2000000;   // told to 5.0 clients
    uint32_t message_size_limit = 0;      // payload; 0: no limit
    uint16_t max_keepalive_s = 0;         // 0: no limit
    uint32_t connect_timeout_ms = 10000;  // to a complete CONNECT
    bool retain_available = true;

    // all together
    int64_t global_max_clients = -1;      // sessions, connected or not
    uint64_t memory_limit = 0;            // bytes of our allocator; 0: no limit
    uint32_t persistent_client_expiration_s = 0; // 0: never
    uint32_t retain_expiry_interval_s = 0; // 0: only when somebody asks for it
    uint32_t sys_interval_s = 10;         // 0: no $SYS
    bool connection_messages = true;      // log connects and disconnects
};
