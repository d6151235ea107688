// base/log.h -- one line of text for people.
//
// A line goes to every destination that is switched on, if its type is:
//
//     2026-11-23T17:53:50+0000: New client connected from 192.168.1.5:4711 ...
//
// Bytes that are not printable are escaped (\x1b), so that a client id cannot
// forge a line or colour a terminal. A line is one write of at most
// LOG_LINE_MAX bytes, its newline included; what is longer is cut.
//
// Any thread may log. Configuring is for the main thread, and the topic sink
// is called only in the thread that set it.
#pragma once

#include "base/bytes.h"

constexpr size_t LOG_LINE_MAX = 1024;

// The types of Mosquitto's `log_type`; values are bits of LogOptions::types.
enum LogType : uint32_t {
    LOG_TYPE_ERROR = 1,
    LOG_TYPE_WARNING = 2,
    LOG_TYPE_NOTICE = 4,
    LOG_TYPE_INFORMATION = 8,
    LOG_TYPE_SUBSCRIBE = 16,
    LOG_TYPE_UNSUBSCRIBE = 32,
    LOG_TYPE_WEBSOCKETS = 64,
    LOG_TYPE_DEBUG = 128,
    LOG_TYPE_INTERNAL = 256,
    LOG_TYPE_ALL = 511,
    LOG_TYPE_USUAL = 15,
};

// Bits of LogOptions::destinations.
enum LogDestination : uint32_t {
    LOG_TO_STDERR = 1,
    LOG_TO_STDOUT = 2,
    LOG_TO_SYSLOG = 4,
    LOG_TO_FILE = 8,
    LOG_TO_TOPIC = 16,
};

struct LogOptions {
    uint32_t types = LOG_TYPE_USUAL;       // bits of LogType
    uint32_t destinations = LOG_TO_STDERR; // bits of LogDestination; 0: silent
    bool timestamp = true;   // before lines to stderr, stdout and the file
    char format[64] = "";    // strftime; empty: ISO 8601
    char file[256] = "";     // of LOG_TO_FILE
    int syslog_facility = 3; // as syslog counts: 3 daemon, 16 + n local n
};

// What the process is called in lines and in syslog; kept by pointer.
void log_init(const char *program);

// Takes the options over: opens the file and syslog if need be. False with a
// text in `error` when the file cannot be opened; then nothing has changed.
[[nodiscard]] bool log_configure(const LogOptions *, char *error,
                                 size_t error_size);

// Opens the file anew (after logrotate moved it). If that fails, says so and
// goes on with the old one.
void log_reopen();

// Closes file and syslog. Lines to the other destinations still come out.
void log_close();

// Where lines for `log_dest topic` go, without time stamp; null for nowhere.
// Never debug or internal lines, nor what is logged by the sink itself.
void log_set_topic_sink(void (*sink)(void *user, LogType, Bytes line),
                        void *user);

// True if a line of this type would go anywhere: ask before costly arguments.
bool log_wants(LogType);

[[gnu::format(printf, 2, 3)]] void log_line(LogType, const char *format, ...);

// log_debug and friends: the argument list is not evaluated if nobody wants it.
#define log_at(type, ...)                                                      \
    do {                                                                       \
        if (log_wants(type)) log_line(type, __VA_ARGS__);                      \
    } while (0)
#define log_error(...) log_at(LOG_TYPE_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_TYPE_WARNING, __VA_ARGS__)
#define log_notice(...) log_at(LOG_TYPE_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LOG_TYPE_INFORMATION, __VA_ARGS__)
#define log_debug(...) log_at(LOG_TYPE_DEBUG, __VA_ARGS__)

// For "%.*s" with a Bytes.
#define LOG_BYTES(b) static_cast<int>((b).size()), (b).data()

// Our own mistake: says where, and aborts.
[[noreturn]] void bug(const char *file, int line, const char *what);
#define BUG(what) bug(__FILE__, __LINE__, what)
