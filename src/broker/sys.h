// broker/sys.h -- $SYS: the broker's figures as retained messages.
//
// Published when they change, every sys_interval seconds at whole multiples of
// the clock; names and forms are Mosquitto's.
#pragma once

#include <stdint.h>

struct Broker;

// Starts publishing: everything once now, then by Broker::sys_timer. Also
// called when sys_interval has changed: starts or stops (0) as it says.
void sys_start(Broker *);
// TIMER_SYS is due.
void sys_on_timer(Broker *);
void sys_free(Broker *);
