// net/upgrade.h -- the HTTP request with which a WebSocket begins.
//
// Pure: a request head in, a verdict and an answer out. Whoever does not ask
// for a WebSocket gets a small page that tells what this port is for.
#pragma once

#include "base/vec.h"
#include "net/http.h"

// What a request head says. The views point into the head.
struct Upgrade {
    HttpRequest request;
    Bytes host, origin, key, version;
    uint8_t hosts = 0, origins = 0, keys = 0, versions = 0; // how many there were
    bool wants_websocket = false;    // Upgrade: websocket
    bool connection_upgrade = false; // Connection: Upgrade
    bool offers_protocol = false;    // Sec-WebSocket-Protocol was there
    bool offers_mqtt = false;        // with "mqtt" in it
    bool offers_mqttv31 = false;     // with "mqttv3.1"
    bool has_body = false;
    bool has_forwarding = false;     // it says that it came through a proxy
};
void upgrade_read(Bytes head, Upgrade *out);

// What is to be done: an HTTP status (101: it is a WebSocket now; 200: the
// page), or 0: close without a byte. `why` is for the log, null for 101.
struct UpgradeVerdict {
    uint16_t status = 0;
    const char *why = nullptr;
};
// An empty list of origins allows all (WS-23).
UpgradeVerdict upgrade_judge(const Upgrade &, const Vec<Bytes> &allowed_origins);
// The verdict on a head that http_feed has refused.
UpgradeVerdict upgrade_judge_broken(HttpResult);

constexpr size_t UPGRADE_ANSWER_MAX = 2048;
// Writes the answer; returns its size, 0 if it cannot be made. `u` may be null
// unless the status is 101.
size_t upgrade_answer(const Upgrade *u, uint16_t status, char out[UPGRADE_ANSWER_MAX]);
