// net/listen_socket.h -- sockets to accept on; private to net/.
//
// places_find turns options into socket addresses (resolving names),
// listen_socket_open binds one of them.
#pragma once

#include "net/addr.h"
#include "net/listener.h"

struct Place {
    sockaddr_storage at;
    socklen_t size;
};

constexpr int PLACES_MAX = 8; // as many as Listener::sockets
struct Places {
    Place at[PLACES_MAX];
    int count = 0;
};

// False with a text when there is none.
[[nodiscard]] bool places_find(const ListenerOptions &, Places *, char *error, size_t error_size);
// No effect on a Unix socket.
void place_set_port(Place *, uint16_t port);

// A socket that listens, or -1 and errno. A Unix socket's file that nobody
// answers on is replaced.
int listen_socket_open(const Place &);
void listen_socket_close(int fd);
void listen_socket_remove_file(const char *path);
