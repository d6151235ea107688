#include "seq/script.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "seq/options.h"
#include "seq/packet.h"

namespace seq {
namespace {

[[noreturn]] void wrong(const std::string &what) { throw NotationError(what); }

struct Parser {
    std::string file;
    std::vector<Case> *out;
    Case *now = nullptr;           // null before the first title
    std::string standard = "5.0";
    int file_version = 5, case_version = 5;
    bool in_title = false;
    int line = 0;
    std::map<std::string, int> versions; // per connection
    std::map<std::string, size_t> sizes; // of what was remembered
    std::vector<std::string> names;              // of `for`; empty: no loop
    std::vector<std::vector<std::string>> rows;  // its values
    std::vector<std::pair<int, std::string>> body; // the lines to repeat
    std::string row;                             // the one that is being filled in

    void read_line(std::string text);
    void begin_loop(const std::vector<std::string> &w);
    void end_case();
    void title(std::string_view text);
    bool setting(const std::vector<std::string> &w);
    void action(const std::vector<std::string> &w, std::string_view text);
    void action_on(const std::vector<std::string> &w, Step s);
    void send(Step s, std::string_view message);
    void expect(Step s, std::string_view what);
    void connect(const std::vector<std::string> &w, Step s);
    void open(const std::vector<std::string> &w, Step s);
    void http(const std::vector<std::string> &w, Step *s);
    Pattern message(const std::string &conn, std::string_view text);
    void add(const Step &s) { now->steps.push_back(s); }
};

std::string_view trimmed(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
    return s;
}

// Without what stands behind // (outside of quotes, after a blank).
std::string_view without_comment(std::string_view s) {
    bool quoted = false;
    for (size_t i = 0; i + 1 < s.size(); i++) {
        if (quoted && s[i] == '\\') i++;
        else if (s[i] == '"') quoted = !quoted;
        else if (!quoted && s[i] == '/' && s[i + 1] == '/' && (!i || s[i - 1] == ' '))
            return s.substr(0, i);
    }
    return s;
}

// The text cut at " | " outside of quotes and braces.
std::vector<std::string> alternatives(std::string_view text) {
    std::vector<std::string> all(1);
    for (const std::string &w : split_words(text)) {
        if (w == "|") all.emplace_back();
        else all.back() += (all.back().empty() ? "" : " ") + w;
    }
    return all;
}

unsigned hex_code(const std::string &w) {
    char *end = nullptr;
    unsigned long v = strtoul(w.c_str(), &end, 16);
    if (*end || w.empty() || v > 255) wrong("'" + w + "' is no code");
    return static_cast<unsigned>(v);
}

unsigned long duration(const std::string &w) {
    char *end = nullptr;
    unsigned long n = strtoul(w.c_str(), &end, 10);
    std::string unit = end;
    if (unit == "s") return n * 1000;
    if (unit == "ms" || (unit.empty() && n == 0)) return n;
    wrong("'" + w + "' is no time (500ms, 3s)");
}

std::string join(const std::vector<std::string> &w, size_t from) {
    std::string s;
    for (size_t i = from; i < w.size(); i++) s += (i > from ? " " : "") + w[i];
    return s;
}

// for NAME... in value... ; value... ; ...
void Parser::begin_loop(const std::vector<std::string> &w) {
    size_t i = 1;
    while (i < w.size() && w[i] != "in") names.push_back(w[i++]);
    for (rows.emplace_back(); ++i < w.size();) {
        if (w[i] == ";") rows.emplace_back();
        else rows.back().push_back(w[i]);
    }
    if (names.size() == 1 && rows.size() == 1) { // one name: no semicolons needed
        std::vector<std::string> values = rows[0];
        rows.clear();
        for (const std::string &v : values) rows.push_back({v});
    }
    for (const auto &values : rows)
        if (values.size() != names.size())
            wrong("a row with " + std::to_string(values.size()) + " values");
}

std::string filled(std::string text, const std::string &name, const std::string &value) {
    for (size_t at = 0; (at = text.find("$" + name, at)) != std::string::npos; at += value.size())
        text.replace(at, name.size() + 1, value);
    return text;
}

// Plays the lines behind `for` once for each row.
void Parser::end_case() {
    std::vector<std::string> loop_names;
    loop_names.swap(names);
    int at = line;
    for (const auto &values : rows) {
        versions.clear();
        row = join(values, 0);
        for (const auto &[number, text] : body) {
            std::string full = text;
            for (size_t i = 0; i < values.size(); i++) full = filled(full, loop_names[i], values[i]);
            line = number;
            read_line(full);
        }
        Step clear;
        clear.line = line;
        clear.verb = Verb::Clear;
        clear.text = "(end of the row)";
        clear.row = row;
        add(clear);
    }
    row.clear();
    rows.clear();
    body.clear();
    line = at;
}

void Parser::title(std::string_view text) {
    if (!in_title) end_case();
    if (!in_title) {
        now = &out->emplace_back();
        now->file = file;
        now->line = line;
        now->standard = standard;
        case_version = file_version;
        versions.clear();
        sizes.clear();
    }
    in_title = true;
    text = trimmed(text);
    while (text.starts_with("[")) {
        size_t end = text.find(']');
        if (end == std::string_view::npos) wrong("] is missing");
        for (const std::string &id : split_words(text.substr(1, end - 1))) now->ids.push_back(id);
        text = trimmed(text.substr(end + 1));
    }
    if (!now->title.empty() && !text.empty()) now->title += ' ';
    now->title += text;
}

// Settings of the file (before any title) or of a case (before its actions).
bool Parser::setting(const std::vector<std::string> &w) {
    bool version = w.size() == 1 && (w[0] == "v3" || w[0] == "v4" || w[0] == "v5");
    if (!now) {
        if (version) file_version = w[0][1] - '0';
        else if (w[0] == "standard" && w.size() == 2) standard = w[1];
        else wrong("a case begins with # [identifiers] title");
        return true;
    }
    if (version) {
        case_version = w[0][1] - '0';
    } else if (w[0] == "option" && w.size() >= 2) {
        if (!option_known(w[1])) wrong("option '" + w[1] + "' is not in the table of options.cpp");
        now->options.emplace_back(w[1], join(w, 2));
    } else if (w[0] == "only") {
        for (size_t i = 1; i < w.size(); i++) {
            if (w[i] == "sim") now->only_sim = true;
            else if (w[i] == "binary") now->only_binary = true;
            else if (w[i] == "plain") now->only_plain = true;
            else if (w[i] == "web") now->only_web = true;
            else if (w[i] == "whole") now->only_whole = true;
            else wrong("only sim, binary, plain, web, whole");
        }
    } else {
        return false;
    }
    return true;
}

Pattern Parser::message(const std::string &conn, std::string_view text) {
    NotationState st;
    if (!versions.count(conn)) versions[conn] = case_version;
    std::string first = split_words(text).empty() ? "" : split_words(text)[0];
    st.version = first == "connect" ? case_version : versions[conn];
    st.id = conn;
    st.sizes = sizes;
    Pattern p = parse_message(text, &st);
    versions[conn] = st.version;
    sizes = st.sizes;
    return p;
}

void Parser::send(Step s, std::string_view text) {
    s.verb = Verb::Send;
    s.opens = true;
    s.patterns = {message(s.conn, text)};
    s.version = versions[s.conn];
    pattern_size(s.patterns[0]);
    add(s);
}

void Parser::http(const std::vector<std::string> &w, Step *s) {
    s->verb = Verb::Http;
    for (size_t i = 1; i < w.size(); i++) {
        if (w[i].starts_with("header=")) s->headers.push_back(unquote(w[i].substr(7)));
        else if (w[i] == "exact") s->exact = true;
        else if (w[i] != "|") s->codes.push_back(static_cast<unsigned>(strtoul(w[i].c_str(), nullptr, 10)));
    }
}

void Parser::expect(Step s, std::string_view what) {
    std::vector<std::string> w = split_words(what);
    if (w.empty()) wrong("expects what?");
    if (!versions.count(s.conn)) versions[s.conn] = case_version;
    s.version = versions[s.conn];
    const std::string &verb = w[0];
    if (verb == "nothing") s.verb = Verb::Nothing;
    else if (verb == "silence") s.verb = Verb::Silence;
    else if (verb == "accepted") {
        s.verb = Verb::Accepted;
        s.present = w.size() > 1 && w[1] == "present";
    } else if (verb == "ends" || verb == "refuses") {
        s.verb = verb == "ends" ? Verb::Ends : Verb::Refuses;
        for (size_t i = 1; i < w.size(); i++) {
            if (w[i] == "-") s.silent_too = true;
            else s.codes.push_back(hex_code(w[i]));
        }
        if (s.codes.empty() && s.version == 5) wrong("which codes?");
        if (!s.codes.empty() && s.verb == Verb::Ends && s.version < 5) wrong("3.x sends no DISCONNECT");
    } else if (verb == "closed") {
        s.verb = Verb::Closed;
        for (size_t i = 1; i < w.size(); i++) // WebSocket close codes
            s.codes.push_back(static_cast<unsigned>(strtoul(w[i].c_str(), nullptr, 10)));
    } else if (verb == "http") {
        http(w, &s);
    } else if (verb == "frame") {
        s.verb = Verb::Frame;
        if (w.size() < 2) wrong("frame OPCODE bytes");
        s.codes = {hex_code(w[1])};
        for (const std::string &one : alternatives(join(w, 2))) s.patterns.push_back(message(s.conn, one));
    } else {
        s.verb = Verb::Expect;
        for (const std::string &one : alternatives(what)) s.patterns.push_back(message(s.conn, one));
    }
    add(s);
}

// connect NAME ...: CONNECT, and the CONNACK that accepts it.
void Parser::connect(const std::vector<std::string> &w, Step s) {
    std::vector<std::string> rest;
    s.conn = w.at(1);
    for (size_t i = 2; i < w.size(); i++) {
        if (w[i] == "present") s.present = true;
        else rest.push_back(w[i]);
    }
    Step accepted = s;
    send(s, "connect " + join(rest, 0));
    accepted.verb = Verb::Accepted;
    accepted.version = versions[s.conn];
    add(accepted);
}

void Parser::open(const std::vector<std::string> &w, Step s) {
    s.verb = Verb::Open;
    s.conn = w.at(1);
    for (size_t i = 2; i < w.size(); i++) {
        if (w[i] == "tcp" || w[i] == "web" || w[i] == "ws") s.kind = w[i];
        else if (w[i].starts_with("path=")) s.path = unquote(w[i].substr(5));
        else if (w[i].starts_with("protocol=")) s.protocol = unquote(w[i].substr(9));
        else if (w[i] == "mute") s.mute = true;
        else wrong("open NAME [tcp|web|ws] [path=] [protocol=] [mute]");
    }
    add(s);
}

void Parser::action_on(const std::vector<std::string> &w, Step s) {
    static const std::map<std::string, Verb> VERBS = {
        {"drop", Verb::Drop}, {"reset", Verb::Reset}, {"stop", Verb::Stop},
        {"resume", Verb::Resume}, {"sync", Verb::Sync},
    };
    auto it = VERBS.find(w[0]);
    if (it == VERBS.end() || w.size() != 2) wrong("what is '" + w[0] + "'?");
    s.verb = it->second;
    s.conn = w[1];
    add(s);
}

void Parser::action(const std::vector<std::string> &w, std::string_view text) {
    Step s;
    s.line = line;
    s.text = text;
    s.row = row;
    if (w.size() >= 2 && (w[1] == ">" || w[1] == "<" || w[1] == "<*")) {
        s.conn = w[0];
        s.any_order = w[1] == "<*";
        size_t at = text.find(w[1], w[0].size());
        std::string_view rest = trimmed(text.substr(at + w[1].size()));
        if (w[1] == ">") send(s, rest);
        else expect(s, rest);
    } else if (w[0] == "connect" && w.size() > 1) {
        connect(w, s);
    } else if (w[0] == "open" && w.size() > 1) {
        open(w, s);
    } else if (w[0] == "disconnect" && w.size() == 2) {
        s.conn = w[1];
        send(s, "disconnect");
        s.verb = Verb::Closed;
        s.version = versions[s.conn];
        add(s);
    } else if (w[0] == "wait" && w.size() == 2) {
        s.verb = Verb::Wait;
        s.ms = duration(w[1]);
        now->wait_ms += s.ms;
        add(s);
    } else if (w[0] == "shutdown" && w.size() == 1) {
        s.verb = Verb::Shutdown;
        add(s);
    } else if (w[0] == "nothing" && w.size() == 1) {
        s.verb = Verb::Nothing;
        add(s);
    } else {
        action_on(w, s);
    }
}

void Parser::read_line(std::string text) {
    std::string_view v = trimmed(text);
    if (v.starts_with("#")) return title(v.substr(1));
    in_title = false;
    v = trimmed(without_comment(v));
    if (v.empty()) return;
    if (!names.empty()) {
        body.emplace_back(line, v);
        return;
    }
    std::vector<std::string> w = split_words(v);
    if (w[0] == "for" && now) begin_loop(w);
    else if (!setting(w)) action(w, v);
}

// A case whose connections all name their transport runs on one only.
void settle_transport(Case *c) {
    bool chosen = false, free = false;
    for (const Step &s : c->steps) {
        if (s.verb == Verb::Open && !s.kind.empty()) chosen = true;
        else if (s.opens || s.verb == Verb::Open) free = true;
    }
    c->one_transport = chosen && !free;
}

} // namespace

void read_script(const std::string &path, std::vector<Case> *out) {
    std::ifstream in(path);
    if (!in) wrong("cannot read " + path);
    Parser p;
    p.file = path;
    p.out = out;
    size_t first = out->size();
    for (std::string text; std::getline(in, text);) {
        p.line++;
        // A line that ends with a backslash goes on in the next one.
        int more = 0;
        for (std::string next; text.ends_with("\\") && std::getline(in, next); more++)
            text = text.substr(0, text.size() - 1) + next;
        try {
            p.read_line(text);
        } catch (const std::exception &e) {
            wrong(path + ":" + std::to_string(p.line) + ": " + e.what());
        }
        p.line += more;
    }
    try {
        p.end_case();
    } catch (const std::exception &e) {
        wrong(path + ":" + std::to_string(p.line) + ": " + e.what());
    }
    for (size_t i = first; i < out->size(); i++) {
        settle_transport(&(*out)[i]);
        if ((*out)[i].steps.empty())
            wrong(path + ":" + std::to_string((*out)[i].line) + ": a case without actions");
    }
}

} // namespace seq
