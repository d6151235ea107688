// process.h -- what the process is to the system: user, pid file, limits.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/owned.h"

// The user to become.
struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    const char *name = nullptr; // for its further groups; null: none
    bool changes = false;       // false: we are not root, or stay root
    char buffer[64] = "";       // what `name` may point to
};

// Who to become when started as root: `wanted`, or "knut" where it is empty;
// PUID and PGID of the environment come first. A missing knut or mosquitto is
// replaced by nobody (with a warning in the log), any other missing user is an
// error. Not root: nothing changes.
[[nodiscard]] bool identity_find(const char *wanted, Identity *out, char *error,
                                 size_t error_size);
[[nodiscard]] bool identity_take(const Identity &, char *error, size_t error_size);
// Gives a file that root has just made (the log) to the new user, so that it
// can be opened again later.
void identity_give_file(const Identity &, const char *path);

// The file is kept open: whoever is not root any more may not be able to remove
// it, but can empty it.
struct PidFile {
    Fd fd;
    char path[256] = "";
};
// Writes the pid of this process. An empty path: none.
[[nodiscard]] bool pid_file_write(PidFile *, const char *path, char *error, size_t error_size);
void pid_file_remove(PidFile *);

// As many descriptors as the hard limit allows.
void process_raise_limits();
// The umask of UMASK_SET (octal), if that is set.
void process_set_umask();
// Half of the memory that this process may use: the machine's, or its cgroup's.
uint64_t process_memory_share();
