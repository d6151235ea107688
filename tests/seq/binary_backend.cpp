#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "seq/backend.h"
#include "seq/options.h"

extern char **environ;

namespace seq {

namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in local(int port) {
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<uint16_t>(port));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

// A port below those that the system gives away by itself.
int free_port() {
    static std::atomic<int> next = 10000 + getpid() % 200 * 100;
    for (;;) {
        int port = 10000 + (next++ - 10000) % 20000;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in a = local(port);
        int one = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        bool good = bind(fd, reinterpret_cast<sockaddr *>(&a), sizeof a) == 0;
        close(fd);
        if (good) return port;
    }
}

struct Channel {
    int fd = -1;
    std::string inbox;
    bool ended = false;
    bool reading = true;
};

struct BinaryBackend : Backend {
    BinaryOptions options;
    bool small_buffers = false;   // a case stops reading: be full soon
    std::string directory, log;
    int port = 0, web_port = 0;
    pid_t pid = -1;
    bool told_to_stop = false;
    std::vector<Channel> channels;

    BinaryBackend(const Case &c, const BinaryOptions &o) : options(o) {
        for (const Step &s : c.steps) small_buffers |= s.verb == Verb::Stop;
        char name[] = "/tmp/knut-seq-XXXXXX";
        if (!mkdtemp(name)) throw std::runtime_error("no temporary directory");
        directory = name;
        log = directory + "/log";
        for (int attempt = 0; !start(c); attempt++)
            if (attempt == 3) throw std::runtime_error("the broker does not start: " + log_text());
    }
    ~BinaryBackend() override {
        stop_broker(SIGKILL);
        for (Channel &c : channels)
            if (c.fd >= 0) close(c.fd);
        unlink(log.c_str());
        unlink((directory + "/knut.conf").c_str());
        rmdir(directory.c_str());
    }

    std::string log_text() const {
        std::ifstream in(log);
        std::stringstream s;
        s << in.rdbuf();
        return s.str();
    }

    bool start(const Case &c) {
        port = free_port();
        web_port = free_port();
        std::string conf = directory + "/knut.conf";
        std::ofstream(conf) << options.extra << "\n" << options_text(c.options, port, web_port);
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        posix_spawn_file_actions_adddup2(&files, 1, 2);
        const char *argv[] = {options.path.c_str(), "-c", conf.c_str(), nullptr};
        int failed = posix_spawn(&pid, options.path.c_str(), &files, nullptr,
                                 const_cast<char *const *>(argv), environ);
        posix_spawn_file_actions_destroy(&files);
        if (failed) throw std::runtime_error("cannot run " + options.path + ": " + strerror(failed));
        for (int tries = 0; tries < 4000; tries++) {
            int fd = dial(web_port); // the second of the two
            if (fd >= 0) {
                wait_for_end(fd);
                return true;
            }
            int status = 0;
            if (waitpid(pid, &status, WNOHANG) == pid) {
                pid = -1;
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }

    // Ends a connection and waits until the broker has let go of it, too: some
    // cases count connections.
    static void wait_for_end(int fd) {
        ::shutdown(fd, SHUT_WR);
        pollfd p = {fd, POLLIN, 0};
        char byte;
        while (poll(&p, 1, 2000) > 0 && recv(fd, &byte, 1, 0) > 0) continue;
        close(fd);
    }

    int dial(int to) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int one = 1, small = 4096;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (small_buffers) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        sockaddr_in a = local(to);
        if (connect(fd, reinterpret_cast<sockaddr *>(&a), sizeof a) == 0) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            return fd;
        }
        close(fd);
        return -1;
    }

    int open(bool web) override {
        Channel c;
        c.fd = dial(web ? web_port : port);
        if (c.fd < 0) return -1;
        channels.push_back(c);
        return static_cast<int>(channels.size() - 1);
    }
    Channel &at(int channel) { return channels[static_cast<size_t>(channel)]; }

    void send(int channel, std::string_view bytes) override {
        while (!bytes.empty() && at(channel).fd >= 0) {
            ssize_t n = ::send(at(channel).fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
            else if (n < 0 && errno == EINTR) continue;
            else if (n < 0 && errno == EAGAIN) wait(static_cast<int>(options.timeout_ms), &at(channel));
            else return; // the broker has gone
        }
    }
    void finish(int channel) override {
        if (at(channel).fd < 0) return;
        ::shutdown(at(channel).fd, SHUT_WR);
        auto until = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
        while (!at(channel).ended && at(channel).reading && Clock::now() < until) wait(50, nullptr);
        close_channel(&at(channel));
    }
    void reset(int channel) override {
        linger now = {1, 0};
        setsockopt(at(channel).fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close_channel(&at(channel));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    static void close_channel(Channel *c) {
        if (c->fd >= 0) close(c->fd);
        c->fd = -1;
        c->ended = true;
    }
    void stop(int channel) override { at(channel).reading = false; }
    void resume(int channel) override { at(channel).reading = true; }
    std::string &inbox(int channel) override { return at(channel).inbox; }
    bool ended(int channel) override { return at(channel).ended; }

    static void receive(Channel *c) {
        char buffer[65536];
        for (;;) {
            ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
            if (n > 0) c->inbox.append(buffer, static_cast<size_t>(n));
            else if (n < 0 && errno == EINTR) continue;
            else if (n < 0 && errno == EAGAIN) return;
            else return close_channel(c);
        }
    }

    // Waits for input on any channel, or for room on `to`. False: it took too long.
    bool wait(int ms, Channel *to) {
        std::vector<pollfd> fds;
        std::vector<Channel *> whose;
        for (Channel &c : channels) {
            short events = static_cast<short>((c.reading ? POLLIN : 0) | (&c == to ? POLLOUT : 0));
            if (c.fd < 0 || !events) continue;
            fds.push_back({c.fd, events, 0});
            whose.push_back(&c);
        }
        if (poll(fds.data(), fds.size(), ms) <= 0) return false;
        for (size_t i = 0; i < fds.size(); i++)
            if (fds[i].revents & (POLLIN | POLLHUP | POLLERR) && whose[i]->reading) receive(whose[i]);
        return true;
    }
    bool more() override { return wait(static_cast<int>(options.timeout_ms), nullptr); }
    void pass(unsigned long ms) override {
        auto until = Clock::now() + std::chrono::milliseconds(ms);
        for (;;) {
            auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
            if (left.count() <= 0) return;
            wait(static_cast<int>(left.count()), nullptr);
        }
    }
    void shutdown() override { // a second signal would mean "at once"
        kill(pid, SIGTERM);
        told_to_stop = true;
    }
    bool real() const override { return true; }
    std::string host() const override { return "127.0.0.1:" + std::to_string(web_port); }

    // -1: it had to be killed.
    int stop_broker(int signal) {
        if (pid <= 0) return 0;
        if (!told_to_stop || signal == SIGKILL) kill(pid, signal);
        int status = 0;
        for (int tries = 0; tries < 2000; tries++) {
            if (waitpid(pid, &status, WNOHANG) == pid) {
                pid = -1;
                return status;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(tries < 20 ? 1 : 5));
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        pid = -1;
        return -1;
    }
    std::string end() override {
        for (Channel &c : channels) close_channel(&c);
        int status = stop_broker(SIGTERM);
        if (status == -1) return "the broker does not stop";
        std::string text = log_text();
        bool sanitizer = text.find("Sanitizer") != std::string::npos ||
                         text.find("runtime error") != std::string::npos;
        if (sanitizer || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return "the broker ended with status " + std::to_string(status) + "; its log:\n" + text;
        return "";
    }
};

} // namespace

std::unique_ptr<Backend> binary_backend(const Case &c, const BinaryOptions &o) {
    return std::make_unique<BinaryBackend>(c, o);
}

} // namespace seq
