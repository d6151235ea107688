// args.h -- the command line.
#pragma once

#include "config/config.h"

struct Args {
    ConfigArguments config;
    const char *program = "knut"; // basename of argv[0]
    bool test_config = false;     // check the file, start nothing
};

constexpr int EXIT_CONFIG = 3; // any bad argument or configuration
constexpr int ARGS_RUN = -1;

// ARGS_RUN, or the status to exit with at once: --help, --version, or a
// mistake, which was then reported on stderr.
int args_parse(int argc, char **argv, Args *out);
