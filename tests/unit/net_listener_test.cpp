// Listeners, accepting and real sockets.
#include "net/listener.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net_memory.h"

struct LiveNet {
    size_t mem_before = mem_used();
    Net *net = nullptr;
    std::vector<Conn *> open;
    std::string data;
    int opened = 0, closed = 0;
    std::vector<int> fds;
    char error[256] = "";

    LiveNet() {
        NetEvents e = {};
        e.on_open = [](Conn *c) {
            auto *l = static_cast<LiveNet *>(conn_net(c)->owner);
            l->opened++;
            l->open.push_back(c);
        };
        e.on_data = [](Conn *c, Bytes v) {
            static_cast<LiveNet *>(conn_net(c)->owner)->data += v;
            conn_send(c, v);
        };
        e.on_closed = [](Conn *c, CloseCause) {
            auto *l = static_cast<LiveNet *>(conn_net(c)->owner);
            l->closed++;
            std::erase(l->open, c);
        };
        net = net_create(e, this, true);
        REQUIRE(net);
    }
    ~LiveNet() {
        for (int fd : fds) close(fd);
        net_free(net);
        CHECK(mem_used() == mem_before);
    }
    Listener *listen(const ListenerOptions &o) {
        Listener *l = listener_open(net, o, error, sizeof(error));
        if (l) REQUIRE(listener_start(l, error, sizeof(error)));
        return l;
    }
    void turns(int n = 5) {
        while (n-- > 0) {
            net_turn(net, clock_now_ms() + 10);
            net_end_turn(net);
        }
    }
    int connect_to(const void *at, socklen_t size, int family) {
        int fd = socket(family, SOCK_STREAM, 0);
        REQUIRE(fd >= 0);
        timeval soon = {2, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
        if (connect(fd, static_cast<const sockaddr *>(at), size) != 0) {
            close(fd);
            return -1;
        }
        fds.push_back(fd);
        return fd;
    }
    int connect_ip(Bytes ip, uint16_t port) {
        Addr a;
        sockaddr_storage at;
        REQUIRE(addr_parse_ip(ip, &a));
        a.port = port;
        socklen_t size = addr_to_sockaddr(a, &at);
        return connect_to(&at, size, at.ss_family);
    }
    int connect_unix(const std::string &path) {
        sockaddr_un un = {};
        un.sun_family = AF_UNIX;
        path.copy(un.sun_path, sizeof(un.sun_path) - 1);
        return connect_to(&un, sizeof(un), AF_UNIX);
    }
};

static ListenerOptions any_port(Bytes address = "") {
    ListenerOptions o;
    o.port = 0;
    address.copy(o.address, sizeof(o.address) - 1);
    return o;
}

static std::string read_some(int fd) {
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof(buffer));
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : n == 0 ? "EOF" : "error";
}

TEST_CASE("a real connection is accepted, answered and closed") {
    LiveNet n;
    Listener *l = n.listen(any_port("127.0.0.1"));
    REQUIRE(l);
    CHECK(l->sockets_count == 1);
    uint16_t port = listener_port(l);
    CHECK(port != 0);
    int fd = n.connect_ip("127.0.0.1", port);
    CHECK(write(fd, "hello", 5) == 5);
    n.turns();
    CHECK(n.opened == 1);
    CHECK(n.data == "hello");
    CHECK(read_some(fd) == "hello");
    CHECK(n.open[0]->home == Home::Yes);
    CHECK(n.open[0]->peer.port != 0);
    conn_close(n.open[0], WsClose::Normal);
    n.turns(1);
    CHECK(read_some(fd) == "EOF");
    close(fd);
    n.fds.clear();
    n.turns();
    CHECK(n.net->connections == 0);
    CHECK(n.closed == 0);
}

TEST_CASE("the peer's end is noticed on a real socket") {
    LiveNet n;
    Listener *l = n.listen(any_port("localhost"));
    REQUIRE(l);
    close(n.connect_ip("127.0.0.1", listener_port(l)));
    n.fds.clear();
    n.turns();
    CHECK(n.closed == n.opened);
}

TEST_CASE("all addresses means both families on one port, loopback_only the two loopbacks") {
    for (bool loopback : {false, true}) {
        LiveNet n;
        ListenerOptions o = any_port();
        o.loopback_only = loopback;
        Listener *l = n.listen(o);
        REQUIRE(l);
        CHECK(n.connect_ip("127.0.0.1", listener_port(l)) >= 0);
        if (l->sockets_count == 2) CHECK(n.connect_ip("::1", listener_port(l)) >= 0);
        n.turns();
        CHECK(n.opened == l->sockets_count);
        o.domain = SocketDomain::Ipv4;
        Listener *v4 = n.listen(o);
        REQUIRE(v4);
        CHECK(v4->sockets_count == 1);
    }
}

TEST_CASE("bind_interface takes that interface's addresses only") {
    LiveNet n;
    ListenerOptions o = any_port();
    Bytes("lo").copy(o.interface, 2);
    o.domain = SocketDomain::Ipv4;
    Listener *l = n.listen(o);
    REQUIRE(l);
    CHECK(l->sockets_count == 1);
    CHECK(n.connect_ip("127.0.0.1", listener_port(l)) >= 0);
    Bytes("nosuch0").copy(o.interface, 7);
    CHECK_FALSE(n.listen(o));
    CHECK(std::string(n.error).find("nosuch0") != std::string::npos);
    Bytes("lo\0", 3).copy(o.interface, 3);
    Bytes("192.0.2.1").copy(o.address, 9);
    CHECK_FALSE(n.listen(o));
}

TEST_CASE("an address that is taken or wrong is an error with a text") {
    LiveNet n;
    Listener *l = n.listen(any_port("127.0.0.1"));
    REQUIRE(l);
    ListenerOptions o = any_port("127.0.0.1");
    o.port = listener_port(l);
    CHECK_FALSE(n.listen(o));
    std::string want = "Address already in use (cannot listen on 127.0.0.1:" +
                       std::to_string(o.port) + ")";
    CHECK(std::string(n.error) == want);
    CHECK_FALSE(n.listen(any_port("192.0.2.1")));
    CHECK(std::string(n.error).find("192.0.2.1") != std::string::npos);
    CHECK(n.net->listeners.size == 1);
}

TEST_CASE("a Unix socket: a dead file is replaced, a live one and a foreign one are not") {
    std::string path = "/tmp/knut_net_test_" + std::to_string(getpid()) + ".sock";
    unlink(path.c_str());
    LiveNet n;
    ListenerOptions o = any_port();
    path.copy(o.path, sizeof(o.path) - 1);
    Listener *l = n.listen(o);
    REQUIRE(l);
    CHECK(listener_port(l) == 0);
    int fd = n.connect_unix(path);
    REQUIRE(fd >= 0);
    CHECK(write(fd, "x", 1) == 1);
    n.turns();
    CHECK(n.data == "x");
    CHECK(n.open[0]->peer.family == AddrFamily::Unix);
    CHECK(n.open[0]->home == Home::Yes);

    CHECK_FALSE(n.listen(o)); // somebody answers there
    CHECK(std::string(n.error).find("Address already in use") == 0);
    CHECK(access(path.c_str(), F_OK) == 0);
    listener_close(l);
    CHECK(access(path.c_str(), F_OK) != 0);
    CHECK(n.net->connections == 1); // goes on

    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un un = {};
    un.sun_family = AF_UNIX;
    path.copy(un.sun_path, sizeof(un.sun_path) - 1);
    REQUIRE(bind(dead, reinterpret_cast<sockaddr *>(&un), sizeof(un)) == 0);
    close(dead);
    l = n.listen(o);
    REQUIRE(l);
    CHECK(n.connect_unix(path) >= 0);
    listener_close(l);

    FILE *f = fopen(path.c_str(), "w");
    REQUIRE(f);
    fclose(f);
    CHECK_FALSE(n.listen(o));
    CHECK(access(path.c_str(), F_OK) == 0);
    unlink(path.c_str());
}

TEST_CASE("a closed listener takes no more, and goes with its last connection") {
    LiveNet n;
    Listener *l = n.listen(any_port("127.0.0.1"));
    REQUIRE(l);
    uint16_t port = listener_port(l);
    int fd = n.connect_ip("127.0.0.1", port);
    n.turns();
    REQUIRE(n.opened == 1);
    listener_close(l);
    CHECK(n.connect_ip("127.0.0.1", port) < 0);
    CHECK(write(fd, "still here", 10) == 10);
    n.turns();
    CHECK(n.data == "still here");
    close(fd);
    n.fds.clear();
    n.turns();
    CHECK(n.closed == 1);
}

TEST_CASE("out of descriptors: accepting pauses, nothing spins, and goes on later") {
    LogOptions quiet, loud;
    char error[100];
    quiet.types = 0;
    REQUIRE(log_configure(&quiet, error, sizeof(error)));
    LiveNet n;
    Listener *l = n.listen(any_port("127.0.0.1"));
    REQUIRE(l);
    uint16_t port = listener_port(l);
    n.connect_ip("127.0.0.1", port);
    n.turns();
    REQUIRE(n.opened == 1);
    for (int i = 0; i < 3; i++) n.connect_ip("127.0.0.1", port);

    rlimit before, low;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low = before;
    low.rlim_cur = 3;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    n.turns(1);
    CHECK(n.net->accepting_paused);
    CHECK(n.opened == 1);
    uint64_t began = clock_now_ms();
    net_turn(n.net, began + 100);
    CHECK(clock_now_ms() - began >= 90); // waited: nobody is ready
    CHECK(net_next_ms(n.net) <= began + 1000);

    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    SUBCASE("when a connection closes") {
        conn_abort(n.open[0]);
        n.open.clear();
        n.turns(3);
        CHECK_FALSE(n.net->accepting_paused);
        CHECK(n.opened == 4);
    }
    SUBCASE("after a second") {
        net_advance(n.net, n.net->now_ms + 1001);
        CHECK_FALSE(n.net->accepting_paused);
        n.turns(3);
        CHECK(n.opened == 4);
    }
    REQUIRE(log_configure(&loud, error, sizeof(error)));
}

TEST_CASE("descriptors of others are watched as well") {
    LiveNet n;
    int two[2], calls = 0;
    REQUIRE(pipe(two) == 0);
    n.fds = {two[0], two[1]};
    CallWatch w;
    w.user = &calls;
    w.on_ready = [](void *user, uint8_t) { ++*static_cast<int *>(user); };
    REQUIRE(net_watch(n.net, &w, two[0], READY_READ));
    n.turns(1);
    CHECK(calls == 0);
    CHECK(write(two[1], "x", 1) == 1);
    n.turns(1);
    CHECK(calls == 1);
    net_unwatch(n.net, &w);
    n.turns(1);
    CHECK(calls == 1);
}

TEST_CASE("a million bytes echo through a real socket, whatever it takes at a time") {
    LiveNet n;
    Listener *l = n.listen(any_port("127.0.0.1"));
    REQUIRE(l);
    int fd = n.connect_ip("127.0.0.1", listener_port(l));
    std::string sent, got;
    for (int i = 0; i < 1000000; i++) sent += static_cast<char>(i * 17 + i / 253);
    size_t at = 0;
    for (int i = 0; i < 100000 && got.size() < sent.size(); i++) {
        ssize_t w = send(fd, sent.data() + at, sent.size() - at, MSG_DONTWAIT);
        if (w > 0) at += static_cast<size_t>(w);
        net_turn(n.net, 0);
        net_end_turn(n.net);
        char buffer[10000];
        ssize_t r = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (r > 0) got.append(buffer, static_cast<size_t>(r));
    }
    CHECK(got == sent);
}

TEST_CASE("the same place is the same listener") {
    ListenerOptions a, b;
    CHECK(listener_same_place(a, b));
    b.max_connections = 5;
    CHECK(listener_same_place(a, b));
    b.port = 1884;
    CHECK_FALSE(listener_same_place(a, b));
    b = a;
    Bytes("127.0.0.1").copy(b.address, 9);
    CHECK_FALSE(listener_same_place(a, b));
}
