// config/draft.h -- a configuration while it is being read.
//
// Options that depend on others (allow_anonymous and its kin) are kept as they
// were said until the end of the file; finish.cpp then decides.
#pragma once

#include "config/config.h"
#include "config/table.h"

// Listener options store into one of these. `shared` in Draft is one that
// never becomes a listener: the L/G options go there unless
// per_listener_settings is true.
struct ListenerDraft {
    ConfigListener made;      // what becomes of it
    Said said;
    const char *file = "";       // where it was defined
    bool anonymous = false;     // allow_anonymous, if it was said
    bool own_anonymous = false; // listener_allow_anonymous, if it was said
    char prefix[ID_PREFIX_MAX + 1] = "auto-";    // auto_id_prefix
    char own_prefix[ID_PREFIX_MAX + 1] = "auto-"; // listener_auto_id_prefix
};

struct Draft {
    Config config;            // global options store here
    Said said;
    ListenerDraft shared;
    Vec<ListenerDraft *> listeners;
    ListenerDraft *standard = nullptr; // the default listener; one of `listeners`
    ListenerDraft *current = nullptr;  // the last `listener` of this file, or null
    bool place_was_said = false;       // any of listener, port, bind_address
    bool per_listener = false;         // per_listener_settings
    const char *bound_to_global = nullptr; // first L/G option that was stored in `shared`
};

// Where a row of the table stores its value. A macro, since offsetof is one.
#define AT(type, field)                                                        \
    .offset = offsetof(type, field), .size = sizeof(static_cast<type *>(nullptr)->field)

// Everything that reading needs. Lives during config_read.
struct Reader {
    Draft draft;
    const ConfigArguments *arguments = nullptr;
    ConfigError *error = nullptr;
    bool failed = false;
    int depth = 0;            // 1 in the main file, 2 in an included one
    const char *file = "";    // where we are, for messages
    int line = 0;
};

// Refuses the configuration: `format` without "Error: ", and the place is
// added. The first one counts. Always false.
[[gnu::format(printf, 2, 3)]] bool fail(Reader *, const char *format, ...);
// The same without a place: for what no line is to blame for.
[[gnu::format(printf, 2, 3)]] bool fail_nowhere(Reader *, const char *format, ...);
// Adds a line for the log, to be written once the configuration is taken.
[[gnu::format(printf, 3, 4)]] void note(Reader *, LogType, const char *format, ...);

// A copy that lives as long as the Config.
const char *keep(Reader *, Bytes text);

// read.cpp: the file and what it includes.
[[nodiscard]] bool read_file(Reader *, const char *path);
// directive.cpp: one line "NAME VALUE".
[[nodiscard]] bool take_directive(Reader *, Bytes text);
// values.cpp: `value` for `o`, into `base` (the Config or a ListenerDraft).
[[nodiscard]] bool take_value(Reader *, const Option &o, Bytes value, void *base);
// Reads one number off `value`; fails with the usual words.
[[nodiscard]] bool take_number(Reader *, const char *name, Bytes value, int64_t *out);
[[nodiscard]] bool take_bool(Reader *, const char *name, Bytes value, bool *out);
[[nodiscard]] bool take_text(Reader *, const char *name, Bytes value, char *out, size_t size);
// The usual complaint: "Invalid 'NAME' value (VALUE)."
bool fail_value(Reader *, const char *name, Bytes value);
// The same, and what could stand there: "mqtt, websockets".
bool fail_choice(Reader *, const char *name, Bytes value, const char *choices);
// The listener that an option belongs to: the current one, else the default
// listener, which is made if need be.
ListenerDraft *listener_for(Reader *);
ListenerDraft *listener_add(Reader *);
// The default listener, made if need be.
ListenerDraft *listener_standard(Reader *);
// finish.cpp: what can only be decided at the end.
[[nodiscard]] bool finish(Reader *);

// setters.cpp: options that need more than the table says.
bool set_include_dir(Reader *, const Option &, Bytes, void *base); // read.cpp
bool set_listener(Reader *, const Option &, Bytes, void *base);
bool set_port(Reader *, const Option &, Bytes, void *base);
bool set_bind_address(Reader *, const Option &, Bytes, void *base);
bool set_per_listener(Reader *, const Option &, Bytes, void *base);
bool set_protocol(Reader *, const Option &, Bytes, void *base);
bool set_socket_domain(Reader *, const Option &, Bytes, void *base);
bool set_protocol_versions(Reader *, const Option &, Bytes, void *base);
bool set_mount_point(Reader *, const Option &, Bytes, void *base);
bool set_origin(Reader *, const Option &, Bytes, void *base);
bool set_clientid_prefixes(Reader *, const Option &, Bytes, void *base);
bool set_expiration(Reader *, const Option &, Bytes, void *base);
bool set_log_dest(Reader *, const Option &, Bytes, void *base);
bool set_log_type(Reader *, const Option &, Bytes, void *base);
bool set_log_facility(Reader *, const Option &, Bytes, void *base);
bool set_log_format(Reader *, const Option &, Bytes, void *base);
