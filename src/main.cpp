// main.cpp -- knut, an MQTT broker.
//
// See README.md for what it is and src/README.md for how it is built.
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "daemon.h"
#include "server.h"

// --test-config: reads, says what is wrong, starts nothing.
static int test_config(const Args &args) {
    Config config;
    ConfigError error;
    bool is_good = config_read(args.config, &config, &error);
    if (!is_good) fprintf(stderr, "%s\n", error.text);
    for (const ConfigNote &n : config.notes)
        if (is_good && !args.config.quiet) fprintf(stderr, "%s\n", n.text);
    if (is_good) puts("The configuration is good.");
    config_free(&config);
    return is_good ? EXIT_SUCCESS : EXIT_CONFIG;
}

int main(int argc, char **argv) {
    mem_setup();
    Args args;
    int status = args_parse(argc, argv, &args);
    if (status != ARGS_RUN) return status;
    if (args.test_config) return test_config(args);

    Fd parent;
    if (args.config.daemon) parent = daemon_fork(); // before there is anything to inherit
    Server server;
    status = server_start(&server, &args, &parent);
    if (status == EXIT_SUCCESS) server_run(&server);
    server_stop(&server);
    return status;
}
