// signals.cpp -- signals, read from a descriptor like everything else.
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server.h"

// After the first request to stop the next one is the system's: it ends the
// process at once, whatever we are busy with.
static void stop(Server *s) {
    sigset_t set;
    s->stop_due = true;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

static void take_signal(Server *s, int number) {
    if (number == SIGRTMIN) return log_reopen();
    switch (number) {
    case SIGTERM:
    case SIGINT: return stop(s);
    case SIGHUP: s->reload_due = true; break;
    case SIGUSR1:
        log_notice("There is nothing to save: everything is kept in memory.");
        break;
    case SIGUSR2: broker_log_subscriptions(s->broker); break;
    }
}

static void on_signal(void *user, uint8_t) {
    auto *s = static_cast<Server *>(user);
    signalfd_siginfo info;
    while (read(s->signals.watch.fd, &info, sizeof info) == sizeof info)
        take_signal(s, static_cast<int>(info.ssi_signo));
}

bool signals_open(Server *s) {
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGRTMIN};
    sigset_t set;
    sigemptyset(&set);
    for (int number : numbers) sigaddset(&set, number);
    signal(SIGPIPE, SIG_IGN); // a write to a closed connection says EPIPE instead
    if (sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return false;
    Fd fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    s->signals.on_ready = on_signal;
    s->signals.user = s;
    return fd && net_watch(s->net, &s->signals, fd.release(), READY_READ);
}

void signals_close(Server *s) {
    int fd = s->signals.watch.fd;
    if (fd < 0) return;
    net_unwatch(s->net, &s->signals);
    close(fd);
}
