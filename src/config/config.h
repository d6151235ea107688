// config/config.h -- mosquitto.conf, read and checked whole.
//
// One table (options.cpp) describes every option; the reader, --help, the
// manual page's check and the reload use it. Reading fills a Config; nothing
// is applied before all of it is valid. The first mistake ends reading with a
// message that says file, line, what is wrong and, where it is plain, what was
// probably meant.
#pragma once

#include "base/bytes.h"
#include "base/log.h"
#include "base/vec.h"
#include "broker/options.h"
#include "net/listener.h"
#include "net/net.h"

struct ConfigListener {
    ListenerOptions net;
    ListenerPolicy policy;
    int line = 0;           // where it was defined, for messages
};

// Something the log should say about the file once it is taken: an option that
// is deprecated or without effect.
struct ConfigNote {
    LogType type = LOG_TYPE_NOTICE;
    const char *text = nullptr; // one of Config::texts
};

struct Config {
    Vec<ConfigListener *> listeners; // empty: local only mode (see config_finish)
    BrokerOptions broker;
    NetOptions net;
    LogOptions log;
    char user[64] = "";        // user to become; empty: the default
    char pid_file[256] = "";
    bool local_only = false;   // no listener was configured
    bool anonymous_by_home = false; // some listener uses Anonymous::Home
    bool memory_limit_said = false; // else the default is for main to find out
    Vec<ConfigNote> notes;
    Vec<char *> texts;         // owns what Bytes in the options point to
};

// How the program was called; wins over the file where the manual says so.
struct ConfigArguments {
    const char *file = nullptr;
    uint16_t ports[10] = {};
    int ports_count = 0;
    bool verbose = false;
    bool quiet = false;
    bool daemon = false;       // the log goes to syslog where nothing else is said
};

// "Error: ..." and, where a line is to blame, "Error found at FILE:LINE." as a
// second line.
constexpr size_t CONFIG_PLACE_MAX = 320; // room for the second
struct ConfigError {
    char text[768] = "";
};

// Reads the file (none: only the arguments count) and everything it includes.
// False: `error` says why, `out` is to be freed all the same.
[[nodiscard]] bool config_read(const ConfigArguments &, Config *out, ConfigError *error);
void config_free(Config *);

// Calls `each` with the name of every global option that differs between the
// two and that a reload does not take over.
void config_each_stuck(const Config *old, const Config *fresh,
                       void (*each)(const char *name));

// The option table, for --help and the manual's check: calls `each` for every
// option with its name, scope and one line of help.
void config_each_option(void (*each)(const char *name, const char *scope,
                                     const char *help));
