// mqtt/utf8.h -- what MQTT accepts as text [MQTT-1.5.4-1, -2].
#pragma once

#include "base/bytes.h"

// True for well-formed UTF-8 without surrogates, U+0000, control characters
// (U+0001-U+001F, U+007F-U+009F) and non-characters: the standard lets a
// server refuse the last two kinds, and Mosquitto does everywhere.
bool utf8_valid(Bytes);
