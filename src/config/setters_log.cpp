// config/setters_log.cpp -- the options of the log that are made of words.
//
// Destinations and types begin with none and add up line by line; `none`
// takes back what was said before. Where nothing was said, finish.cpp puts in
// the default.
#include <span>

#include "config/draft.h"

struct Word {
    Bytes name;
    uint32_t bit;
};

static constexpr Word DESTINATIONS[] = {
    {"stderr", LOG_TO_STDERR}, {"stdout", LOG_TO_STDOUT}, {"syslog", LOG_TO_SYSLOG},
    {"topic", LOG_TO_TOPIC},   {"none", 0},
};

static constexpr Word TYPES[] = {
    {"error", LOG_TYPE_ERROR},
    {"warning", LOG_TYPE_WARNING},
    {"notice", LOG_TYPE_NOTICE},
    {"information", LOG_TYPE_INFORMATION},
    {"subscribe", LOG_TYPE_SUBSCRIBE},
    {"unsubscribe", LOG_TYPE_UNSUBSCRIBE},
    {"websockets", LOG_TYPE_WEBSOCKETS},
    {"debug", LOG_TYPE_DEBUG},
    {"internal", LOG_TYPE_INTERNAL},
    {"all", LOG_TYPE_ALL},
    {"none", 0},
};

static const Word *find_word(std::span<const Word> words, Bytes name) {
    for (const Word &w : words)
        if (w.name == name) return &w;
    return nullptr;
}

static bool set_log_file(Reader *r, LogOptions *log, Bytes path) {
    if (path.empty()) return fail(r, "Empty 'log_dest file' value in configuration.");
    if (*log->file) return fail(r, "Duplicate 'log_dest file' value in configuration.");
    log->destinations |= LOG_TO_FILE;
    return take_text(r, "log_dest file", path, log->file, sizeof log->file);
}

bool set_log_dest(Reader *r, const Option &o, Bytes value, void *base) {
    LogOptions *log = &static_cast<Config *>(base)->log;
    Bytes rest = value;
    Bytes name = cut(&rest, ' ');
    if (name == "dlt" || name == "android")
        return fail(r, "The 'log_dest %.*s' option is not supported: it is for other systems.",
                    LOG_BYTES(name));
    if (name == "file") return set_log_file(r, log, trim(rest));
    const Word *w = find_word(DESTINATIONS, value);
    if (!w)
        return fail_choice(r, o.name, value, "stderr, stdout, syslog, topic, file PATH, none");
    log->destinations = w->bit ? log->destinations | w->bit : 0;
    return true;
}

bool set_log_type(Reader *r, const Option &o, Bytes value, void *base) {
    LogOptions *log = &static_cast<Config *>(base)->log;
    const Word *w = find_word(TYPES, value);
    if (!w)
        return fail_choice(r, o.name, value, "error, warning, notice, information, subscribe, "
                                             "unsubscribe, websockets, debug, internal, all, none");
    log->types = w->bit ? log->types | w->bit : 0;
    return true;
}

// 0..7 are syslog's local0..local7, which syslog itself numbers from 16 on.
bool set_log_facility(Reader *r, const Option &o, Bytes value, void *base) {
    int64_t n = 0;
    if (!take_number(r, o.name, value, &n)) return false;
    if (n < 0 || n > 7) return fail_value(r, o.name, value);
    static_cast<Config *>(base)->log.syslog_facility = static_cast<int>(16 + n);
    return true;
}

bool set_log_format(Reader *r, const Option &o, Bytes value, void *) {
    if (value == "text") return true;
    if (value == "json") return fail(r, "The 'log_format json' option is not supported yet.");
    return fail_choice(r, o.name, value, "text");
}
