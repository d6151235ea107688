// broker/topics.h -- which topics clients may publish to, and mount points.
#pragma once

#include "base/bytes.h"

// False for `$SYS/...` (but `$SYS/broker/connection/X/state` is a bridge's to
// set), `$share/...` and `$CONTROL/...`: those are the broker's own.
bool topic_may_publish(Bytes topic);
