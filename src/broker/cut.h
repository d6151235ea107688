// broker/cut.h -- from a stream of bytes to packets.
#pragma once

#include "broker/client.h"

// Hands every packet that `in` completes to client_dispatch and keeps the rest.
// The client may be gone afterwards.
void cut_packets(Client *, Bytes in);

// Forgets an unfinished packet.
void cut_drop(Client *);
