// mqtt/packets.h -- the packets of MQTT 3.1, 3.1.1 and 5.0: bytes to structs
// and back.
//
// The only place that knows how the versions lay out their packets. Nothing
// here keeps state, allocates or does I/O. Decoding yields views into the
// input: copy what must outlive the call.
#pragma once

#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "mqtt/packet.h"
#include "mqtt/props.h"
#include "mqtt/reason.h"
