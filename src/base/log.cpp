#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct LogState {
    LogOptions options;
    const char *program = "knut"; // not owned
    int file = -1;                // -1: not open
    bool syslog_open = false;
    bool in_sink = false;         // the sink runs: what it logs passes it by
    pthread_t sink_thread = {};   // who set the sink; valid if it is not null
    void (*sink)(void *user, LogType, Bytes line) = nullptr;
    void *sink_user = nullptr; // not owned
};

static LogState state;

// A line under construction. One byte is kept free for the newline.
struct Line {
    char bytes[LOG_LINE_MAX];
    size_t size = 0;
    size_t text = 0; // where the text begins, after the time stamp
};

struct TypeRule {
    LogType type;
    int priority;  // of syslog
    bool to_topic; // publishing a line must not cause the next one
};

static constexpr TypeRule RULES[] = {
    {LOG_TYPE_ERROR, LOG_ERR, true},
    {LOG_TYPE_WARNING, LOG_WARNING, true},
    {LOG_TYPE_NOTICE, LOG_NOTICE, true},
    {LOG_TYPE_INFORMATION, LOG_INFO, true},
    {LOG_TYPE_SUBSCRIBE, LOG_NOTICE, true},
    {LOG_TYPE_UNSUBSCRIBE, LOG_NOTICE, true},
    {LOG_TYPE_WEBSOCKETS, LOG_DEBUG, true},
    {LOG_TYPE_DEBUG, LOG_DEBUG, false},
    {LOG_TYPE_INTERNAL, LOG_DEBUG, false},
};

static const TypeRule &rule_of(LogType type) {
    for (const TypeRule &r : RULES)
        if (r.type == type) return r;
    return RULES[0];
}

// --- The text of a line ---

// Length of the well-formed UTF-8 sequence of two to four bytes that `v`
// begins with; 0 if there is none, or if it is a C1 control, which is an
// escape sequence to some terminals.
static size_t utf8_length(Bytes v) {
    auto at = [v](size_t i) { return static_cast<uint8_t>(v[i]); };
    uint8_t head = at(0);
    size_t n = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2;
    if (head < 0xc2 || head > 0xf4 || v.size() < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((at(i) & 0xc0) != 0x80) return 0;
    uint8_t second = at(1);
    if (head == 0xc2 && second < 0xa0) return 0; // C1
    if (head == 0xe0 && second < 0xa0) return 0; // overlong
    if (head == 0xed && second > 0x9f) return 0; // surrogate
    if (head == 0xf0 && second < 0x90) return 0; // overlong
    if (head == 0xf4 && second > 0x8f) return 0; // above U+10FFFF
    return n;
}

static bool append(Line *line, Bytes v) {
    if (line->size + v.size() >= sizeof line->bytes) return false;
    memcpy(line->bytes + line->size, v.data(), v.size());
    line->size += v.size();
    return true;
}

// Appends `v` printable; stops where the line is full, never inside a
// character or an escape.
static void append_escaped(Line *line, Bytes v) {
    static const char hex[] = "0123456789abcdef";
    while (!v.empty()) {
        auto c = static_cast<uint8_t>(v[0]);
        size_t n = c < 0x80 ? c >= 0x20 && c != 0x7f : utf8_length(v);
        const char escape[] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        if (!append(line, n ? slice(v, 0, n) : Bytes(escape, 4))) return;
        v.remove_prefix(n ? n : 1);
    }
}

// The format is the administrator's own, so the compiler cannot check it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void append_time(Line *line) {
    const LogOptions &o = state.options;
    if (!o.timestamp) return;
    time_t now = time(nullptr);
    tm parts;
    if (!localtime_r(&now, &parts)) return;
    const char *format = o.format[0] ? o.format : "%Y-%m-%dT%H:%M:%S%z";
    char stamp[256];
    size_t n = strftime(stamp, sizeof stamp, format, &parts);
    append_escaped(line, Bytes(stamp, n));
    append(line, ": ");
}
#pragma GCC diagnostic pop

// --- Where lines go ---

// One write a line, so that lines of several threads do not mix. A line that
// cannot be written is lost: there is nobody to tell.
static void write_line(int fd, Bytes v) {
    while (write(fd, v.data(), v.size()) < 0 && errno == EINTR) {}
}

static bool sink_wants(LogType type) {
    return (state.options.destinations & LOG_TO_TOPIC) && state.sink &&
           rule_of(type).to_topic && !state.in_sink &&
           pthread_equal(state.sink_thread, pthread_self());
}

static void emit(LogType type, const Line &line) {
    uint32_t to = state.options.destinations;
    Bytes whole(line.bytes, line.size);
    Bytes text = slice(whole, line.text, line.size - line.text - 1);
    if (to & LOG_TO_STDERR) write_line(STDERR_FILENO, whole);
    if (to & LOG_TO_STDOUT) write_line(STDOUT_FILENO, whole);
    if ((to & LOG_TO_FILE) && state.file >= 0) write_line(state.file, whole);
    if (to & LOG_TO_SYSLOG)
        syslog(rule_of(type).priority, "%.*s", LOG_BYTES(text));
    if (!sink_wants(type)) return;
    state.in_sink = true;
    state.sink(state.sink_user, type, text);
    state.in_sink = false;
}

bool log_wants(LogType type) {
    if (!(state.options.types & type)) return false;
    uint32_t others = ~static_cast<uint32_t>(LOG_TO_TOPIC);
    return (state.options.destinations & others) || sink_wants(type);
}

void log_line(LogType type, const char *format, ...) {
    if (!log_wants(type)) return;
    int saved_errno = errno; // logging changes nothing for the caller
    // A little longer than any line, so that the line is full before a
    // character cut short here would show.
    char raw[LOG_LINE_MAX + 4];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : static_cast<size_t>(n);
    Line line;
    append_time(&line);
    line.text = line.size;
    append_escaped(&line, slice(Bytes(raw, sizeof raw - 1), 0, size));
    line.bytes[line.size++] = '\n';
    emit(type, line);
    errno = saved_errno;
}

// --- Set-up ---

static int open_file(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
                0640);
}

// Lets `*fd` stand for the file of `fresh` from now on. In one step, since
// other threads may be writing to it.
static void replace_file(int *fd, int fresh) {
    if (*fd < 0) {
        *fd = fresh;
        return;
    }
    dup3(fresh, *fd, O_CLOEXEC);
    close(fresh);
}

static void close_file() {
    int fd = state.file;
    state.file = -1;
    if (fd >= 0) close(fd);
}

static void configure_syslog() {
    if (state.syslog_open) closelog();
    state.syslog_open = state.options.destinations & LOG_TO_SYSLOG;
    if (state.syslog_open)
        openlog(state.program, LOG_PID, state.options.syslog_facility << 3);
}

void log_init(const char *program) {
    state.program = program;
    tzset();
}

bool log_configure(const LogOptions *o, char *error, size_t error_size) {
    bool wants_file = o->destinations & LOG_TO_FILE;
    int fresh = wants_file ? open_file(o->file) : -1;
    if (wants_file && fresh < 0) {
        snprintf(error, error_size, "cannot open log file %s: %s", o->file,
                 strerror(errno));
        return false;
    }
    if (wants_file) {
        replace_file(&state.file, fresh);
    } else {
        close_file();
    }
    state.options = *o;
    configure_syslog();
    return true;
}

void log_reopen() {
    if (state.file < 0) return;
    const char *path = state.options.file;
    int fresh = open_file(path);
    if (fresh >= 0) return replace_file(&state.file, fresh);
    log_error("Cannot open log file %s: %s", path, strerror(errno));
}

void log_close() {
    close_file();
    if (state.syslog_open) closelog();
    state.syslog_open = false;
}

void log_set_topic_sink(void (*sink)(void *user, LogType, Bytes line),
                        void *user) {
    state.sink = sink;
    state.sink_user = user;
    state.sink_thread = pthread_self();
}

void bug(const char *file, int line, const char *what) {
    log_line(LOG_TYPE_ERROR, "%s: bug at %s:%d: %s", state.program, file, line,
             what);
    bool is_shown = (state.options.destinations & LOG_TO_STDERR) &&
                    (state.options.types & LOG_TYPE_ERROR);
    if (!is_shown)
        dprintf(STDERR_FILENO, "%s: bug at %s:%d: %s\n", state.program, file,
                line, what);
    abort();
}
