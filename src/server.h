// server.h -- the running whole: configuration, sockets, broker, signals.
//
// Owner of everything that lives as long as the process. Things happen in this
// order: server_start opens (or says why not), server_run turns until a signal
// ends it, server_stop says good-bye and frees.
#pragma once

#include "args.h"
#include "broker/broker.h"
#include "net/net.h"
#include "notify.h"
#include "process.h"

struct Server {
    const Args *args = nullptr;
    Config config;            // the broker reads its options right here
    Vec<Listener *> listeners; // listeners[i] is of config.listeners[i]
    Net *net = nullptr;
    Broker *broker = nullptr;
    CallWatch signals;        // signalfd
    Notify notify;
    PidFile pid_file;
    bool stop_due = false;    // SIGTERM or SIGINT came
    bool reload_due = false;  // SIGHUP came; dealt with between two turns
};

// 0, or the status to exit with; what is wrong stands on stderr. `parent`: the
// pipe of daemon_fork, if there is one.
[[nodiscard]] int server_start(Server *, const Args *, Fd *parent);
void server_run(Server *);
void server_stop(Server *);

// reload.cpp: takes up the configuration file anew, as one step: all of it, or
// nothing and the log says why.
void server_reload(Server *);

// signals.cpp: signals become events of the reactor.
[[nodiscard]] bool signals_open(Server *);
void signals_close(Server *);

// "Opening ipv4 listen socket on port 1883.", for each of its sockets.
void server_log_opened(const Listener *);
// What a configuration leaves to be found out when it is used.
void server_complete(Config *);
// Logs what was found in the configuration: deprecated options and the like.
void server_log_notes(const Server *);
// Logs who may connect where nothing was said about it.
void server_log_access(const Server *);
