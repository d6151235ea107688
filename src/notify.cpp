#include "notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"

// A manager that does not listen is no reason to stop.
static void tell(const Notify *n, const char *text) {
    if (!n->socket) return;
    sendto(n->socket.value, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr *>(&n->to), n->to_size);
}

static bool take_address(Notify *n, Bytes path) {
    if (path.size() < 2 || path.size() >= sizeof n->to.sun_path) return false;
    if (path[0] != '/' && path[0] != '@') return false;
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, path.data(), path.size());
    if (path[0] == '@') n->to.sun_path[0] = '\0';
    n->to_size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    return true;
}

static bool is_for_us(const char *pid) {
    int64_t n = 0;
    return !pid || (parse_int(pid, &n) && n == getpid());
}

// Half of the time after which the manager would lose patience.
static uint64_t watchdog_period_ms() {
    const char *text = getenv("WATCHDOG_USEC");
    int64_t us = 0;
    if (!text || !parse_int(text, &us) || us <= 0) return 0;
    if (!is_for_us(getenv("WATCHDOG_PID"))) return 0;
    return us < 2000 ? 1 : static_cast<uint64_t>(us) / 2000;
}

void notify_open(Notify *n, uint64_t now_ms) {
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !take_address(n, path)) return;
    n->socket = Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    n->watchdog_ms = watchdog_period_ms();
    if (n->watchdog_ms) n->next_ms = now_ms + n->watchdog_ms;
}

void notify_ready(const Notify *n) { tell(n, "READY=1"); }
void notify_stopping(const Notify *n) { tell(n, "STOPPING=1"); }

void notify_reloading(const Notify *n) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             static_cast<long long>(now.tv_sec) * 1000000 + now.tv_nsec / 1000);
    tell(n, text);
}

void notify_tick(Notify *n, uint64_t now_ms) {
    if (now_ms < n->next_ms) return;
    tell(n, "WATCHDOG=1");
    n->next_ms = now_ms + n->watchdog_ms;
}
