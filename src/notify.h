// notify.h -- tells the service manager how we are (systemd's sd_notify).
//
// The protocol is one datagram of text to the Unix socket in $NOTIFY_SOCKET; a
// name that begins with @ is in the abstract name space. Where the variable is
// not set, all of this does nothing.
#pragma once

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/owned.h"

struct Notify {
    Fd socket;                 // -1: nobody wants to know
    sockaddr_un to = {};
    socklen_t to_size = 0;
    uint64_t watchdog_ms = 0;  // how often to say that we live; 0: never
    uint64_t next_ms = UINT64_MAX; // boot time: when to say it again
};

void notify_open(Notify *, uint64_t now_ms);
void notify_ready(const Notify *);
void notify_reloading(const Notify *);
void notify_stopping(const Notify *);
// Says that we live, if it is time to; to be called once a turn.
void notify_tick(Notify *, uint64_t now_ms);
