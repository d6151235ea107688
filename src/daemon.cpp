#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

[[noreturn]] static void die(const char *what) {
    fprintf(stderr, "Error: %s: %s.\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static int status_of(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

// One byte means that the child is ready; the end of the pipe that it is gone.
[[noreturn]] static void await(int from, pid_t child) {
    char byte = 0;
    ssize_t n = 0;
    while ((n = read(from, &byte, 1)) < 0 && errno == EINTR) {}
    _exit(n == 1 ? EXIT_SUCCESS : status_of(child));
}

Fd daemon_fork() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) die("pipe");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child > 0) {
        close(ends[1]);
        await(ends[0], child);
    }
    close(ends[0]);
    setsid();
    return Fd(ends[1]);
}

void daemon_ready(Fd *parent) {
    if (!*parent) return;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; nowhere >= 0 && fd <= 2; fd++) dup2(nowhere, fd);
    if (nowhere > 2) close(nowhere);
    while (write(parent->value, "", 1) < 0 && errno == EINTR) {}
    parent->reset();
}
