// config/table.h -- what is known of every option.
//
// One row an option; the rows stand in groups (options_*.cpp) and are looked
// up here. A row says how a value is read, where it goes and what becomes of
// options that knut does not have; only the few that need more than that have
// a function of their own (setters.cpp).
#pragma once

#include <span>

#include "base/bytes.h"

struct Reader;
struct Option;

enum class Kind : uint8_t {
    Bool,    // exactly true, 1, false, 0
    Number,  // C notation; stored times `scale`
    Text,    // a char array of `size` bytes, with its zero
    Special, // `set` does it all
};

enum class Scope : uint8_t {
    Global,
    Listener,         // the listener defined last
    ListenerOrGlobal, // per listener with per_listener_settings true
    Bridge,
    Plugin,
};

enum class State : uint8_t {
    Works,
    Later,    // a value other than `off` stops the start: not supported yet
    Never,    // stops the start: not supported; `why` says why
    NoEffect, // checked, then a warning: it does nothing
};

// Bits of Option::flags.
enum OptionFlag : uint8_t {
    NEEDS_LISTENER = 1, // fails before the first `listener` (else: default listener)
    LAST_COUNTS = 2,    // a text that may be given twice
    CLAMPS = 4,         // numbers below `min` mean `min`
    RESTART = 8,        // a reload does not take it over
    PREFIX = 16,        // the name goes on with a KEY of the user's
    MAY_BE_EMPTY = 32,  // `set` deals with an empty value itself
    ONCE = 64,          // a Special that may not be given twice
};

struct Option {
    const char *name = nullptr;
    Kind kind = Kind::Special;
    Scope scope = Scope::Global;
    State state = State::Works;
    uint8_t flags = 0;

    // Where it is stored: in Config (Global) or ListenerDraft (draft.h).
    uint16_t offset = 0;
    uint16_t size = 0;        // bytes there; 0: nowhere
    int64_t min = 0, max = 0; // of a Number, as written in the file
    uint32_t scale = 1;

    const char *standard = ""; // the default, as written; "": none
    const char *off = nullptr; // Later: the value that asks for nothing
    const char *why = nullptr; // Later, Never: what it belongs to, or the reason
    const char *wrong = nullptr; // message of a number out of range; null: the usual one
    const char *instead = nullptr; // deprecated: the option to use; "": none

    // Of Special: `base` is the Config or the ListenerDraft.
    bool (*set)(Reader *, const Option &, Bytes value, void *base) = nullptr;
    const char *help = nullptr;
};

extern const std::span<const Option> OPTIONS_GENERAL;
extern const std::span<const Option> OPTIONS_LOG;
extern const std::span<const Option> OPTIONS_STORE;
extern const std::span<const Option> OPTIONS_LISTENER;
extern const std::span<const Option> OPTIONS_TLS;
extern const std::span<const Option> OPTIONS_BRIDGE;
extern const std::span<const Option> OPTIONS_PLUGIN;

constexpr int OPTIONS_MAX = 256; // room in the bit sets below

// Which options were given for one object.
struct Said {
    uint64_t bits[OPTIONS_MAX / 64] = {};
};
inline void said_add(Said *s, int id) { s->bits[id / 64] |= uint64_t{1} << id % 64; }
inline bool said_has(const Said &s, int id) { return s.bits[id / 64] >> id % 64 & 1; }

int option_count();
const Option &option_at(int id);
// -1 if there is none of this name. O(n), n about 180: files are short.
int option_find(Bytes name);
// The name that is most like `name`, or null if none is near.
const char *option_nearest(Bytes name);
const char *scope_text(Scope);
