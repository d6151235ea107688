// net/limits.h -- how many connections there may be; private to net/.
//
// A connection is counted from the moment it is let in until its end begins
// (not until the last byte is out), so that a client which comes back at once
// is not refused because of its former self.
//
//   limits_admit --- counted everywhere ---> limits_leave
//        `-- unauthenticated --> conn_authenticated
#pragma once

#include "net/net.h"

// What a Conn is counted in: bits of its Watch::flags.
constexpr uint16_t COUNTED = 1;          // Net::counted, Listener::connections
constexpr uint16_t COUNTED_NEW = 2;      // Net::unauthenticated
constexpr uint16_t COUNTED_ADDR = 4;     // AddrCount::all
constexpr uint16_t COUNTED_ADDR_NEW = 8; // AddrCount::unauthenticated
constexpr uint16_t COUNTED_ALONE = 32;   // its whole IPv6 address counts, not the /64
// Not a count: the descriptor is on the reactor (socket_ops.cpp).
constexpr uint16_t ON_REACTOR = 16;

// Null if the connection is let in (and counted), else why it is not.
const char *limits_admit(Conn *);
// Takes it out of all counts; no effect the second time.
void limits_leave(Conn *);
// Frees what is left at the end of a Net.
void limits_free(Net *);
