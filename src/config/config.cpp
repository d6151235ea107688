// config/config.cpp -- the whole of reading, from arguments to a Config.
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/draft.h"

// Control characters in a message would let a file write on the terminal.
static void clean(char *text) {
    for (; *text; text++)
        if (static_cast<unsigned char>(*text) < 32 || *text == 127) *text = '?';
}

[[gnu::format(printf, 2, 0)]]
static void complain(Reader *r, const char *format, va_list args) {
    constexpr size_t FIRST = sizeof r->error->text - CONFIG_PLACE_MAX;
    char *text = r->error->text;
    int n = snprintf(text, FIRST, "Error: ");
    vsnprintf(text + n, FIRST - static_cast<size_t>(n), format, args);
    clean(text);
}

bool fail(Reader *r, const char *format, ...) {
    if (r->failed) return false;
    r->failed = true;
    va_list args;
    va_start(args, format);
    complain(r, format, args);
    va_end(args);
    size_t n = strlen(r->error->text);
    snprintf(r->error->text + n, sizeof r->error->text - n, "\nError found at %s:%d.", r->file,
             r->line);
    clean(r->error->text + n + 1);
    return false;
}

bool fail_nowhere(Reader *r, const char *format, ...) {
    if (r->failed) return false;
    r->failed = true;
    va_list args;
    va_start(args, format);
    complain(r, format, args);
    va_end(args);
    return false;
}

void note(Reader *r, LogType type, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= static_cast<int>(sizeof text)) n = sizeof text - 1;
    vec_push(&r->draft.config.notes, {type, keep(r, Bytes(text, static_cast<size_t>(n)))});
}

const char *keep(Reader *r, Bytes text) {
    char *copy = static_cast<char *>(mem_alloc(text.size() + 1));
    if (!text.empty()) memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    vec_push(&r->draft.config.texts, copy);
    return copy;
}

static void free_draft(Draft *d) {
    for (ListenerDraft *l : d->listeners) {
        vec_free(&l->made.net.websockets_origins);
        mem_delete(l);
    }
    vec_free(&d->listeners);
}

bool config_read(const ConfigArguments &arguments, Config *out, ConfigError *error) {
    Reader r = {.arguments = &arguments, .error = error};
    r.draft.config.log.types = 0; // these two add up; finish puts in the default
    r.draft.config.log.destinations = 0;
    bool is_good = (!arguments.file || read_file(&r, arguments.file)) && finish(&r);
    free_draft(&r.draft);
    *out = r.draft.config;
    return is_good;
}

void config_free(Config *c) {
    for (ConfigListener *l : c->listeners) {
        vec_free(&l->net.websockets_origins);
        mem_delete(l);
    }
    for (char *text : c->texts) mem_free(text);
    vec_free(&c->listeners);
    vec_free(&c->notes);
    vec_free(&c->texts);
    vec_free(&c->broker.clientid_prefixes);
}
