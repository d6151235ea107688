#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"

// ---- user ------------------------------------------------------------------

static bool take_passwd(Identity *out, const char *name) {
    const passwd *p = getpwnam(name);
    if (!p) return false;
    snprintf(out->buffer, sizeof out->buffer, "%s", name);
    out->name = out->buffer;
    out->uid = p->pw_uid;
    out->gid = p->pw_gid;
    return true;
}

// A number from the environment; false if there is none.
static bool take_number_of(const char *variable, uint32_t *out) {
    const char *text = getenv(variable);
    int64_t n = 0;
    if (!text || !parse_int(text, &n) || n < 0 || n >= UINT32_MAX) return false;
    *out = static_cast<uint32_t>(n);
    return true;
}

static bool find_user(const char *wanted, Identity *out) {
    const char *name = *wanted ? wanted : "knut";
    if (take_passwd(out, name)) return true;
    if (strcmp(name, "knut") != 0 && strcmp(name, "mosquitto") != 0) return false;
    log_warning("Warning: There is no user '%s', trying 'nobody' instead.", name);
    return take_passwd(out, "nobody");
}

bool identity_find(const char *wanted, Identity *out, char *error, size_t error_size) {
    if (geteuid() != 0) return true;
    uint32_t uid = 0, gid = 0;
    bool has_uid = take_number_of("PUID", &uid);
    bool has_gid = take_number_of("PGID", &gid);
    if (!(has_uid && has_gid) && !find_user(wanted, out)) {
        snprintf(error, error_size, "There is no user '%s'", *wanted ? wanted : "knut");
        return false;
    }
    if (has_uid) out->uid = uid, out->name = nullptr;
    if (has_gid) out->gid = gid;
    out->changes = out->uid != 0;
    if (!out->changes)
        log_warning("Warning: This runs as root, which it does not need; see 'user' in "
                    "knut.conf(5).");
    return true;
}

static bool set_groups(const Identity &who) {
    if (who.name) return initgroups(who.name, who.gid) == 0;
    return setgroups(1, &who.gid) == 0;
}

bool identity_take(const Identity &who, char *error, size_t error_size) {
    if (!who.changes) return true;
    // Groups first: afterwards it would not be allowed.
    if (set_groups(who) && setgid(who.gid) == 0 && setuid(who.uid) == 0) return true;
    snprintf(error, error_size, "Cannot become user %u (%s)", who.uid, strerror(errno));
    return false;
}

void identity_give_file(const Identity &who, const char *path) {
    if (!who.changes || !*path) return;
    // The directory may belong to somebody else: nothing but a plain file of
    // root's with one name is given away.
    Fd fd(open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat is;
    if (!fd || fstat(fd.value, &is) < 0) return;
    if (!S_ISREG(is.st_mode) || is.st_nlink != 1 || is.st_uid != 0) return;
    if (fchown(fd.value, who.uid, who.gid) < 0)
        log_warning("Warning: Cannot give %s to the user (%s).", path, strerror(errno));
}

// ---- pid file --------------------------------------------------------------

bool pid_file_write(PidFile *file, const char *path, char *error, size_t error_size) {
    if (!*path) return true;
    Fd fd(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd || dprintf(fd.value, "%d\n", getpid()) < 0) {
        snprintf(error, error_size, "Unable to write pid file '%s' (%s)", path, strerror(errno));
        return false;
    }
    snprintf(file->path, sizeof file->path, "%s", path);
    file->fd = static_cast<Fd &&>(fd);
    return true;
}

void pid_file_remove(PidFile *file) {
    if (!file->fd) return;
    if (unlink(file->path) < 0 && ftruncate(file->fd.value, 0) < 0)
        log_warning("Warning: Cannot remove pid file '%s' (%s).", file->path, strerror(errno));
    file->fd.reset();
}

// ---- limits ----------------------------------------------------------------

void process_raise_limits() {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void process_set_umask() {
    const char *text = getenv("UMASK_SET");
    if (!text || !*text) return;
    char *end = nullptr;
    unsigned long mask = strtoul(text, &end, 8);
    if (!*end && mask <= 0777) umask(static_cast<mode_t>(mask));
}

// A number that is all of a small file; UINT64_MAX if it is not one ("max").
static uint64_t read_number(const char *path) {
    char text[32];
    Fd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (!fd) return UINT64_MAX;
    ssize_t n = read(fd.value, text, sizeof text);
    int64_t value = 0;
    if (n <= 0 || text[n - 1] != '\n') return UINT64_MAX;
    if (!parse_int(Bytes(text, static_cast<size_t>(n - 1)), &value)) return UINT64_MAX;
    return value > 0 ? static_cast<uint64_t>(value) : UINT64_MAX;
}

// Our place in the tree of cgroups (version 2), without the slash at its end.
static bool read_cgroup(char path[PATH_MAX]) {
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return false;
    bool found = false;
    while (!found && fgets(path, PATH_MAX, f)) found = starts_with(path, "0::/");
    fclose(f);
    if (!found) return false;
    Bytes place = trim(slice(Bytes(path), 3, strcspn(path, "\n") - 3));
    while (!place.empty() && place.back() == '/') place.remove_suffix(1);
    memmove(path, place.data(), place.size());
    path[place.size()] = '\0';
    return true;
}

// The smallest limit on the way from our cgroup up to the root.
static uint64_t cgroup_limit() {
    char place[PATH_MAX], path[PATH_MAX + 64];
    uint64_t least = UINT64_MAX;
    if (!read_cgroup(place)) return least;
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", place);
        uint64_t limit = read_number(path);
        if (limit < least) least = limit;
        char *last = strrchr(place, '/');
        if (!last) return least;
        *last = '\0';
    }
}

uint64_t process_memory_share() {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t all = UINT64_MAX, limit = cgroup_limit();
    if (pages > 0 && page > 0) all = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
    if (limit < all) all = limit;
    return all == UINT64_MAX ? 0 : all / 2;
}
