// config/directive.cpp -- one line: NAME VALUE, or NAME = VALUE.
#include "config/draft.h"
#include "mqtt/utf8.h"

// Takes "= " off the front of a value: knut's own spelling. Only a lone sign
// right after the name counts, so that values may begin with one.
static Bytes skip_equals(Bytes value) {
    if (value == "=") return Bytes();
    return starts_with(value, "= ") ? trim(slice(value, 2)) : value;
}

// What an unknown name might have been meant to be, as far as it can be told
// from a name that something else is glued to.
static const char *guess(Bytes name, const char **hint) {
    size_t end = 0;
    while (end < name.size() && !strchr("\t=:;,", name[end])) end++;
    *hint = end < name.size() ? " A blank must follow the name." : "";
    return option_nearest(slice(name, 0, end));
}

static bool fail_unknown(Reader *r, Bytes name) {
    Bytes shown = slice(name, 0, 120);
    if (name[0] == '#')
        return fail(r, "Unknown configuration variable '%.*s'. "
                       "A comment begins in the first column.", LOG_BYTES(shown));
    const char *hint = "";
    const char *near = guess(name, &hint);
    if (!near) return fail(r, "Unknown configuration variable '%.*s'.", LOG_BYTES(shown));
    return fail(r, "Unknown configuration variable '%.*s'. Did you mean '%s'?%s",
                LOG_BYTES(shown), near, hint);
}

static bool fail_without(Reader *r, Bytes name, const char *what) {
    return fail(r, "The '%.*s' option requires a %s to be defined first.",
                LOG_BYTES(slice(name, 0, 120)), what);
}

// No bridge and no plugin can be defined yet, so their options never have one.
static bool check_scope(Reader *r, const Option &o, Bytes name) {
    if (o.flags & PREFIX && name == o.name)
        return fail(r, "Invalid '%s' config option.", o.name);
    if (o.scope == Scope::Bridge) return fail_without(r, name, "bridge");
    if (o.scope == Scope::Plugin)
        return fail_without(r, name, "plugin/global_plugin/plugin_load");
    if (o.flags & NEEDS_LISTENER && !r->draft.current)
        return fail_without(r, name, "listener");
    return true;
}

// Does `value` say the same as the row's `off`?
static bool asks_for_nothing(Reader *r, const Option &o, Bytes value) {
    if (!o.off) return false;
    bool said = false, off = false;
    if (o.kind == Kind::Bool)
        return take_bool(r, o.name, value, &said) && take_bool(r, o.name, o.off, &off) &&
               said == off;
    return value == o.off;
}

static bool refuse(Reader *r, const Option &o, Bytes value) {
    if (asks_for_nothing(r, o, value)) return true;
    if (r->failed) return false;
    if (o.state == State::Never)
        return fail(r, "The '%s' option is not supported: %s.", o.name, o.why);
    return fail(r, "The '%s' option is not supported yet (%s).", o.name, o.why);
}

static void note_deprecated(Reader *r, const Option &o) {
    if (!o.instead) return;
    if (!*o.instead) return note(r, LOG_TYPE_NOTICE, "The '%s' option is deprecated.", o.name);
    note(r, LOG_TYPE_NOTICE, "The '%s' option is deprecated, use '%s' instead.", o.name,
         o.instead);
}

struct Target {
    void *base;
    Said *said;
};

static Target target_of(Reader *r, const Option &o) {
    Draft *d = &r->draft;
    bool shared = o.scope == Scope::ListenerOrGlobal && !d->per_listener;
    if (shared && !d->bound_to_global) d->bound_to_global = o.name;
    if (shared) return {&d->shared, &d->shared.said};
    if (o.scope == Scope::Global) return {&d->config, &d->said};
    ListenerDraft *l = listener_for(r);
    return {l, &l->said};
}

static bool take_option(Reader *r, int id, Bytes value) {
    const Option &o = option_at(id);
    Target t = target_of(r, o);
    bool once = o.flags & ONCE || (o.kind == Kind::Text && !(o.flags & LAST_COUNTS));
    if (once && said_has(*t.said, id))
        return fail(r, "Duplicate '%s' value in configuration.", o.name);
    said_add(t.said, id);
    note_deprecated(r, o);
    if (o.state == State::NoEffect)
        note(r, LOG_TYPE_WARNING, "The '%s' option has no effect: %s.", o.name, o.why);
    if (o.kind == Kind::Special && !o.set) return true;
    return take_value(r, o, value, t.base);
}

bool take_directive(Reader *r, Bytes text) {
    Bytes value = trim(text);
    Bytes name = cut(&value, ' ');
    value = skip_equals(trim(value));

    int id = option_find(name);
    if (id < 0) return fail_unknown(r, name);
    const Option &o = option_at(id);
    if (!check_scope(r, o, name)) return false;
    if (value.empty() && !(o.flags & MAY_BE_EMPTY))
        return fail(r, "Empty '%s' value in configuration.", o.name);
    if (!utf8_valid(value))
        return fail(r, "The '%s' value is not valid UTF-8 text.", o.name);
    if (o.state == State::Later || o.state == State::Never) return refuse(r, o, value);
    return take_option(r, id, value);
}
