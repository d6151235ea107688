// daemon.h -- going to the background (-d).
//
// The process forks before it does anything else. The parent waits until the
// child is ready, and exits with its status: whoever started us knows whether
// it worked, and has read on stderr why not.
#pragma once

#include "base/owned.h"

// Returns in the child only, with the pipe to the parent that waits.
Fd daemon_fork();

// The child is ready: lets the parent go, and the terminal. Without a pipe (no
// -d) it does nothing.
void daemon_ready(Fd *parent);
