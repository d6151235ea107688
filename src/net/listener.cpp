#include "net/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/conn.h"
#include "net/listen_socket.h"

// Copies of what the caller may free: the array and the texts in one block,
// the texts behind the array.
static Vec<Bytes> copy_origins(const Vec<Bytes> &from) {
    Vec<Bytes> to;
    if (!from.size) return to;
    size_t array = from.size * sizeof(Bytes), texts = 0;
    for (const Bytes &o : from) texts += o.size();
    char *block = static_cast<char *>(mem_alloc(array + texts));
    char *text = block + array;
    to.data = reinterpret_cast<Bytes *>(block);
    to.size = to.capacity = from.size;
    for (uint32_t i = 0; i < from.size; i++) {
        if (!from[i].empty()) memcpy(text, from[i].data(), from[i].size());
        to[i] = Bytes(text, from[i].size());
        text += from[i].size();
    }
    return to;
}

static Listener *make(Net *net, const ListenerOptions &options) {
    Listener *l = mem_new<Listener>();
    l->options = options;
    l->options.websockets_origins = copy_origins(options.websockets_origins);
    l->net = net;
    vec_push(&net->listeners, l);
    return l;
}

void listener_free(Listener *l) {
    vec_free(&l->options.websockets_origins);
    mem_delete(l);
}

static void adopt(Listener *l, int fd) {
    ListenSocket *s = &l->sockets[l->sockets_count++];
    s->watch.fd = fd;
    s->watch.kind = WATCH_LISTEN;
    s->listener = l;
}

// ---- opening ---------------------------------------------------------------

// The place of one socket as text: "127.0.0.1:1883", "/run/knut.sock".
static void describe(const Listener *l, const Place &p, char *out, size_t size) {
    char text[ADDR_TEXT];
    if (l->options.path[0]) {
        snprintf(out, size, "%s", l->options.path);
        return;
    }
    auto *sa = reinterpret_cast<const sockaddr *>(&p.at);
    snprintf(out, size, "%s", addr_text(addr_from_sockaddr(sa, p.size), text));
}

// A machine without IPv6 is no error as long as IPv4 works.
static bool is_bearable(const Place &p, int error) {
    return p.at.ss_family == AF_INET6 && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

static bool open_all(Listener *l, Places *places, char *error, size_t error_size) {
    int last_error = 0;
    const Place *failed = nullptr;
    for (int i = 0; i < places->count; i++) {
        Place *p = &places->at[i];
        if (l->sockets_count) place_set_port(p, listener_port(l)); // the same for all
        int fd = listen_socket_open(*p);
        if (fd >= 0) {
            adopt(l, fd);
            continue;
        }
        last_error = errno;
        failed = p;
        if (!is_bearable(*p, last_error)) break;
    }
    if (!failed || (l->sockets_count && is_bearable(*failed, last_error))) return true;
    char where[160];
    describe(l, *failed, where, sizeof(where));
    snprintf(error, error_size, "%s (cannot listen on %s)", strerror(last_error), where);
    return false;
}

Listener *listener_open(Net *net, const ListenerOptions &options, char *error,
                        size_t error_size) {
    Places places;
    if (!places_find(options, &places, error, error_size)) return nullptr;
    Listener *l = make(net, options);
    if (open_all(l, &places, error, error_size)) return l;
    if (!l->sockets_count) l->options.path[0] = 0; // somebody else's file stays
    listener_close(l);
    return nullptr;
}

Listener *listener_fake(Net *net, const ListenerOptions &options) { return make(net, options); }

bool listener_start(Listener *l, char *error, size_t error_size) {
    uint8_t interest = l->net->accepting_paused ? 0 : READY_READ;
    for (int i = 0; i < l->sockets_count; i++) {
        if (l->sockets[i].started) continue;
        if (!reactor_add(l->net->reactor, &l->sockets[i].watch, interest)) {
            snprintf(error, error_size, "%s", strerror(errno));
            return false;
        }
        l->sockets[i].started = true;
    }
    return true;
}

uint16_t listener_port(const Listener *l) {
    sockaddr_storage at = {};
    socklen_t size = sizeof(at);
    if (!l->sockets_count) return 0;
    if (getsockname(l->sockets[0].watch.fd, reinterpret_cast<sockaddr *>(&at), &size)) return 0;
    return addr_from_sockaddr(reinterpret_cast<sockaddr *>(&at), size).port;
}

// ---- changing and closing --------------------------------------------------

void listener_change(Listener *l, const ListenerOptions &options) {
    Vec<Bytes> origins = copy_origins(options.websockets_origins);
    vec_free(&l->options.websockets_origins);
    l->options.websockets_origins = origins;
    l->options.max_connections = options.max_connections;
}

static void close_socket(Listener *l, ListenSocket *s) {
    if (s->started) reactor_remove(l->net->reactor, &s->watch);
    listen_socket_close(s->watch.fd);
}

void listener_close(Listener *l) {
    if (l->closed) return;
    l->closed = true;
    for (int i = 0; i < l->sockets_count; i++) close_socket(l, &l->sockets[i]);
    l->sockets_count = 0;
    if (l->options.path[0]) listen_socket_remove_file(l->options.path);
    Vec<Listener *> *all = &l->net->listeners;
    for (uint32_t i = 0; i < all->size; i++) {
        if ((*all)[i] != l) continue;
        vec_remove(all, i);
        break;
    }
    if (!l->refs) listener_free(l);
}

bool listener_same_place(const ListenerOptions &a, const ListenerOptions &b) {
    return a.port == b.port && strcmp(a.path, b.path) == 0 &&
           strcmp(a.address, b.address) == 0 && strcmp(a.interface, b.interface) == 0 &&
           a.protocol == b.protocol && a.domain == b.domain &&
           a.loopback_only == b.loopback_only;
}
