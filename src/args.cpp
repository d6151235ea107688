#include "args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct Parser {
    int argc;
    char **argv;
    int at; // the argument that is being looked at
    Args *out;
};

// Takes a value of its own from the command line, or asks for nothing.
struct Switch {
    const char *brief; // "" if there is none
    const char *full;
    int (*take)(Parser *);
};

[[gnu::format(printf, 1, 2)]] static int complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("Error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_CONFIG;
}

// The argument behind the switch, or null.
static const char *value_of(Parser *p) {
    return p->at + 1 < p->argc ? p->argv[++p->at] : nullptr;
}

static int take_config(Parser *p) {
    p->out->config.file = value_of(p);
    if (p->out->config.file) return ARGS_RUN;
    return complain("-c argument given, but no config file specified.");
}

static int take_port(Parser *p) {
    ConfigArguments *c = &p->out->config;
    const char *text = value_of(p);
    if (!text) return complain("-p argument given, but no port specified.");
    constexpr int MOST = sizeof c->ports / sizeof *c->ports;
    if (c->ports_count == MOST) return complain("-p may be given %d times at most.", MOST);
    int64_t port = 0;
    if (!parse_int(text, &port) || port < 1 || port > UINT16_MAX)
        return complain("Invalid port specified (%s).", text);
    c->ports[c->ports_count++] = static_cast<uint16_t>(port);
    return ARGS_RUN;
}

static int take_keylog(Parser *p) {
    if (!value_of(p)) return complain("--tls-keylog argument given, but no file specified.");
    return complain("--tls-keylog is not supported yet (TLS).");
}

static int take_daemon(Parser *p) {
    p->out->config.daemon = true;
    return ARGS_RUN;
}

static int take_quiet(Parser *p) {
    p->out->config.quiet = true;
    return ARGS_RUN;
}

static int take_verbose(Parser *p) {
    p->out->config.verbose = true;
    return ARGS_RUN;
}

static int take_test(Parser *p) {
    p->out->test_config = true;
    return ARGS_RUN;
}

static int take_version(Parser *p) {
    printf("%s version %s\n", p->out->program, KNUT_VERSION);
    return EXIT_SUCCESS;
}

static constexpr char USAGE[] =
    "Usage: %s [-c config_file] [-d] [-h] [-p port] [-v]\n"
    "\n"
    "An MQTT broker. Without a configuration that defines a listener it serves\n"
    "this machine only, on port 1883.\n"
    "\n"
    "  -c, --config-file FILE  read this configuration (see knut.conf(5))\n"
    "  -d, --daemon            go to the background once it is ready\n"
    "  -h                      this text\n"
    "      --help              this text, and every option of the configuration\n"
    "  -p, --port PORT         port where no listener is configured; up to ten times\n"
    "  -q, --quiet             log nothing\n"
    "  -v, --verbose           log everything\n"
    "      --test-config       check the configuration, start nothing\n"
    "      --version           print the version\n";

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int take_brief_help(Parser *p) {
    printf(USAGE, p->out->program);
    return EXIT_SUCCESS;
}
#pragma GCC diagnostic pop

static void print_option(const char *name, const char *scope, const char *help) {
    printf("  %s (%s)\n      %s\n", name, scope, help);
}

static int take_help(Parser *p) {
    take_brief_help(p);
    puts("\nOptions of the configuration file:");
    config_each_option(print_option);
    return EXIT_SUCCESS;
}

static constexpr Switch SWITCHES[] = {
    {"-c", "--config-file", take_config}, {"-d", "--daemon", take_daemon},
    {"-h", "-h", take_brief_help},        {"", "--help", take_help},
    {"-p", "--port", take_port},          {"-q", "--quiet", take_quiet},
    {"-v", "--verbose", take_verbose},    {"", "--test-config", take_test},
    {"", "--tls-keylog", take_keylog},    {"", "--version", take_version},
};

static const Switch *find_switch(Bytes name) {
    for (const Switch &s : SWITCHES)
        if (!name.empty() && (name == s.brief || name == s.full)) return &s;
    return nullptr;
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int args_parse(int argc, char **argv, Args *out) {
    Parser p = {.argc = argc, .argv = argv, .at = 1, .out = out};
    if (argc > 0) out->program = name_of(argv[0]);
    for (; p.at < argc; p.at++) {
        const Switch *s = find_switch(argv[p.at]);
        if (!s) return complain("Unknown option '%s'.", argv[p.at]);
        int status = s->take(&p);
        if (status != ARGS_RUN) return status;
    }
    return ARGS_RUN;
}
