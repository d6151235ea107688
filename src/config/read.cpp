// config/read.cpp -- files, line by line, through inih.
//
// inih (as packaged) cuts lines at 199 bytes, wants `=` or `:` in each and
// splits at the first of them, which is not what mosquitto.conf looks like. So
// our callback sees each line whole first and hands inih "name=LINE" only; the
// handler then takes the text from here. Comments and blank lines never get
// as far as inih.
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/draft.h"

constexpr size_t LINE_LIMIT = 4096; // without the line's ending
constexpr size_t INI_NAME_LIMIT = 40; // inih has room for 49

struct Source {
    Reader *reader;
    FILE *file;
    int line = 0;
    size_t length = 0;
    bool is_over = false;
    char text[LINE_LIMIT + 1]; // one more, to tell a line that is too long
};

static Bytes text_of(const Source *s) {
    Bytes text(s->text, s->length);
    constexpr Bytes MARK = "\xef\xbb\xbf"; // some editors begin files with it
    return s->line == 1 && starts_with(text, MARK) ? slice(text, MARK.size()) : text;
}

// Reads one physical line; false at the end of the file.
static bool read_line(Source *s) {
    int c = 0;
    s->length = 0;
    s->line++;
    while ((c = getc(s->file)) != EOF && c != '\n')
        if (s->length < sizeof s->text) s->text[s->length++] = static_cast<char>(c);
    return c != EOF || s->length > 0;
}

// A line ends with LF or CR LF.
static void drop_cr(Source *s) {
    if (s->length && s->text[s->length - 1] == '\r') s->length--;
}

static bool check_line(Source *s) {
    Reader *r = s->reader;
    r->line = s->line;
    drop_cr(s);
    if (s->length > LINE_LIMIT)
        return fail(r, "The line is too long (at most %zu bytes are possible).", LINE_LIMIT);
    if (s->length && memchr(s->text, 0, s->length))
        return fail(r, "The line holds a NUL byte; this is not a text file.");
    return true;
}

static bool is_directive(Bytes text) {
    return !trim(text).empty() && text[0] != '#';
}

// A name that inih reads as one, whatever the line says.
static Bytes safe_name(Bytes text, char out[INI_NAME_LIMIT]) {
    size_t n = 0;
    for (char c : trim(text)) {
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
        if (!is_plain || n == INI_NAME_LIMIT) break;
        out[n++] = c;
    }
    return n ? Bytes(out, n) : Bytes("?");
}

// inih's fgets: the next directive as "name=LINE", or null at the end.
static char *next_directive(char *out, int size, void *user) {
    auto *s = static_cast<Source *>(user);
    char name[INI_NAME_LIMIT];
    while (!s->is_over) {
        if (!read_line(s) || !check_line(s)) break;
        Bytes text = text_of(s);
        if (!is_directive(text)) continue;
        snprintf(out, static_cast<size_t>(size), "%.*s=%d\n",
                 LOG_BYTES(safe_name(text, name)), s->line);
        return out;
    }
    s->is_over = true;
    return nullptr;
}

// inih's handler: 1 to go on.
static int on_directive(void *user, const char *, const char *, const char *line) {
    auto *s = static_cast<Source *>(user);
    if (atoi(line) != s->line) BUG("inih and the reader are at different lines");
    s->is_over = !take_directive(s->reader, text_of(s));
    return !s->is_over;
}

static bool read_source(Source *s) {
    Reader *r = s->reader;
    int result = ini_parse_stream(next_directive, s, on_directive, s);
    if (r->failed) return false;
    if (ferror(s->file))
        return fail_nowhere(r, "Unable to read config file '%s'. %s.", r->file, strerror(errno));
    if (result) return fail(r, "The line cannot be read.");
    return true;
}

bool read_file(Reader *r, const char *path) {
    FILE *file = fopen(path, "re");
    if (!file)
        return fail_nowhere(r, "Unable to open config file '%s'. %s.", path, strerror(errno));
    const char *file_before = r->file;
    int line_before = r->line;
    ListenerDraft *current_before = r->draft.current;
    Source source = {.reader = r, .file = file, .text = {}};

    r->file = path, r->line = 0, r->draft.current = nullptr, r->depth++;
    bool is_good = read_source(&source);
    r->file = file_before, r->line = line_before, r->draft.current = current_before, r->depth--;
    fclose(file);
    return is_good;
}

// ---- include_dir -----------------------------------------------------------

static int by_bytes(const void *a, const void *b) {
    return strcmp(*static_cast<const char *const *>(a), *static_cast<const char *const *>(b));
}

static bool is_conf(Bytes name) {
    constexpr Bytes END = ".conf";
    return name.size() > END.size() && slice(name, name.size() - END.size()) == END;
}

static const char *join(Reader *r, Bytes dir, const char *name) {
    char path[PATH_MAX + NAME_MAX];
    while (dir.size() > 1 && dir.back() == '/') dir.remove_suffix(1);
    int n = snprintf(path, sizeof path, "%.*s/%s", LOG_BYTES(dir), name);
    return keep(r, Bytes(path, static_cast<size_t>(n)));
}

static Vec<const char *> list_dir(Reader *r, Bytes path, DIR *dir) {
    Vec<const char *> files;
    while (dirent *entry = readdir(dir))
        if (is_conf(entry->d_name)) vec_push(&files, join(r, path, entry->d_name));
    if (files.size) qsort(files.data, files.size, sizeof *files.data, by_bytes);
    return files;
}

// All files that end in .conf, in byte order; relative to the directory that
// knut was started in, as everywhere.
bool set_include_dir(Reader *r, const Option &o, Bytes value, void *) {
    if (r->depth > 1) {
        note(r, LOG_TYPE_WARNING, "'%s' in %s has no effect: it works in the main file only.",
             o.name, r->file);
        return true;
    }
    DIR *dir = opendir(keep(r, value));
    if (!dir)
        return fail(r, "Unable to open include_dir '%.*s'. %s.", LOG_BYTES(value), strerror(errno));
    Vec<const char *> files = list_dir(r, value, dir);
    closedir(dir);

    bool is_good = true;
    for (const char *file : files) is_good = is_good && read_file(r, file);
    vec_free(&files);
    return is_good;
}
