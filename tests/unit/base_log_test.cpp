#include "base/log.h"

#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

// A log that goes to a file in a directory of its own; afterwards all is as it
// was at the start of the process.
struct LogToFile {
    char dir[32] = "/tmp/knut-log-XXXXXX";
    std::string path;
    LogOptions options;

    LogToFile() {
        REQUIRE(mkdtemp(dir));
        path = std::string(dir) + "/log";
        options.destinations = LOG_TO_FILE;
        options.types = LOG_TYPE_ALL;
        options.timestamp = false;
        snprintf(options.file, sizeof options.file, "%s", path.c_str());
        apply();
    }
    ~LogToFile() {
        log_set_topic_sink(nullptr, nullptr);
        LogOptions plain;
        char error[100];
        CHECK(log_configure(&plain, error, sizeof error));
        unlink(path.c_str());
        unlink((path + ".1").c_str());
        rmdir(dir);
    }
    void apply() {
        char error[400] = "";
        bool ok = log_configure(&options, error, sizeof error);
        INFO(std::string(error));
        REQUIRE(ok);
    }
    static std::string read(const std::string &from) {
        std::ifstream in(from);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    // What was logged so far; the file is empty again.
    std::string take() {
        std::string text = read(path);
        REQUIRE(truncate(path.c_str(), 0) == 0);
        return text;
    }
};

struct Sink {
    std::vector<std::string> lines;
    bool wants_more = false; // logs from inside the sink

    static void on_line(void *user, LogType type, Bytes line) {
        auto *self = static_cast<Sink *>(user);
        self->lines.push_back(std::to_string(type) + " " + std::string(line));
        if (self->wants_more) log_error("from the sink");
    }
};

TEST_CASE("a line is its text and a newline") {
    LogToFile log;
    log_info("client %s has %d", "a", 7);
    log_error("%s", "");
    CHECK(log.take() == "client a has 7\n\n");
}

TEST_CASE("a line begins with the local time as ISO 8601 has it") {
    LogToFile log;
    log.options.timestamp = true;
    log.apply();
    log_notice("hello: you");
    std::string line = log.take();
    for (char &c : line)
        if (c >= '0' && c <= '9') c = '9';
    size_t sign = line.find('+');
    if (sign != std::string::npos) line[sign] = '-';
    CHECK(line == "9999-99-99T99:99:99-9999: hello: you\n");
}

TEST_CASE("the time can be had in any form") {
    LogToFile log;
    log.options.timestamp = true;
    snprintf(log.options.format, sizeof log.options.format, "<%%Y>");
    log.apply();
    time_t now = time(nullptr);
    char year[16];
    tm parts;
    strftime(year, sizeof year, "<%Y>: x\n", localtime_r(&now, &parts));
    log_notice("x");
    CHECK(log.take() == year);
}

TEST_CASE("what is not printable is escaped") {
    LogToFile log;
    log_info("%s", "a\nb\rc\td\x1b[31m\x7f");
    CHECK(log.take() == "a\\x0ab\\x0dc\\x09d\\x1b[31m\\x7f\n");
    log_info("%s", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x9f");
    CHECK(log.take() == "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa6\x9f\n");
    // Bare, overlong, surrogate, too large, cut short, C1 control.
    log_info("%s", "\x80|\xff|\xc0\xaf|\xe0\x80\xaf|\xed\xa0\x80");
    CHECK(log.take() == "\\x80|\\xff|\\xc0\\xaf|\\xe0\\x80\\xaf|\\xed\\xa0\\x80\n");
    log_info("%s", "\xf4\x90\x80\x80|\xf0\x82\x82\xac|\xe2\x82|\xc2\x9b|\xc3");
    CHECK(log.take() ==
          "\\xf4\\x90\\x80\\x80|\\xf0\\x82\\x82\\xac|\\xe2\\x82|\\xc2\\x9b|\\xc3\n");
}

TEST_CASE("bytes without a terminating zero can be printed") {
    LogToFile log;
    char raw[] = {'a', 'b', 'c'};
    Bytes b(raw, 2);
    log_info("%.*s!", LOG_BYTES(b));
    CHECK(log.take() == "ab!\n");
}

TEST_CASE("long lines are cut, and between characters") {
    LogToFile log;
    for (size_t shift = 0; shift < 5; shift++) {
        for (const char *piece : {"x", "\xc3\xbc", "\xf0\x9f\xa6\x9f", "\n"}) {
            std::string text(shift, 'x');
            while (text.size() < 5000) text += piece;
            log_info("%s", text.c_str());
            std::string line = log.take();
            size_t whole = piece[0] == 'x' ? 1 : piece[1] ? strlen(piece) : 4;
            CAPTURE(shift);
            CAPTURE(whole);
            CHECK(line.size() <= LOG_LINE_MAX);
            CHECK(line.size() > LOG_LINE_MAX - whole);
            CHECK((line.size() - 1 - shift) % whole == 0);
            CHECK(line.find("\\xf0") == std::string::npos);
            CHECK(line.find("\\xc3") == std::string::npos);
        }
    }
}

TEST_CASE("only the types that are wanted come through") {
    LogToFile log;
    log.options.types = LOG_TYPE_ERROR | LOG_TYPE_SUBSCRIBE;
    log.apply();
    int evaluated = 0;
    log_debug("%d", ++evaluated);
    log_info("%d", ++evaluated);
    log_at(LOG_TYPE_SUBSCRIBE, "sub %d", ++evaluated);
    log_at(LOG_TYPE_UNSUBSCRIBE, "unsub %d", ++evaluated);
    log_line(LOG_TYPE_WARNING, "not wanted either");
    CHECK(log.take() == "sub 1\n");
    CHECK(evaluated == 1);
    CHECK(log_wants(LOG_TYPE_ERROR));
    CHECK_FALSE(log_wants(LOG_TYPE_WEBSOCKETS));
}

TEST_CASE("a log that goes nowhere wants nothing") {
    LogToFile log;
    log.options.destinations = 0;
    log.apply();
    CHECK_FALSE(log_wants(LOG_TYPE_ERROR));
    log.options.destinations = LOG_TO_TOPIC;
    log.apply();
    CHECK_FALSE(log_wants(LOG_TYPE_ERROR)); // no sink yet
}

TEST_CASE("the topic sink gets the text alone, and no debug lines") {
    LogToFile log;
    log.options.timestamp = true;
    log.options.destinations = LOG_TO_TOPIC;
    log.apply();
    Sink sink;
    log_set_topic_sink(Sink::on_line, &sink);
    CHECK(log_wants(LOG_TYPE_ERROR));
    CHECK_FALSE(log_wants(LOG_TYPE_DEBUG));
    CHECK_FALSE(log_wants(LOG_TYPE_INTERNAL));
    log_warning("careful\n");
    log_debug("hidden");
    log_line(LOG_TYPE_DEBUG, "hidden");
    log_at(LOG_TYPE_UNSUBSCRIBE, "%s", "");
    CHECK(sink.lines == std::vector<std::string>{"2 careful\\x0a", "32 "});
    CHECK(log.read(log.path).empty());
}

TEST_CASE("a sink that logs is not called again for it") {
    LogToFile log;
    log.options.destinations = LOG_TO_TOPIC | LOG_TO_FILE;
    log.apply();
    Sink sink;
    sink.wants_more = true;
    log_set_topic_sink(Sink::on_line, &sink);
    log_error("first");
    log_error("second");
    CHECK(sink.lines == std::vector<std::string>{"1 first", "1 second"});
    CHECK(log.take() == "first\nfrom the sink\nsecond\nfrom the sink\n");
}

TEST_CASE("another thread's lines go to the file and not to the sink") {
    LogToFile log;
    log.options.destinations = LOG_TO_TOPIC | LOG_TO_FILE;
    log.apply();
    Sink sink;
    log_set_topic_sink(Sink::on_line, &sink);
    std::thread([] { log_error("elsewhere"); }).join();
    CHECK(sink.lines.empty());
    CHECK(log.take() == "elsewhere\n");
}

TEST_CASE("reopening follows a file that was moved away") {
    LogToFile log;
    log_info("one");
    REQUIRE(rename(log.path.c_str(), (log.path + ".1").c_str()) == 0);
    log_info("two");
    log_reopen();
    log_info("three");
    CHECK(log.read(log.path + ".1") == "one\ntwo\n");
    CHECK(log.take() == "three\n");
}

TEST_CASE("an existing log file is continued, and others may not read it") {
    LogToFile log;
    log_info("one");
    log_close();
    log_info("lost");
    log.apply();
    log_info("two");
    struct stat st;
    REQUIRE(stat(log.path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0007) == 0);
    CHECK(log.take() == "one\ntwo\n");
}

TEST_CASE("a file that cannot be opened is refused and nothing changes") {
    LogToFile log;
    LogOptions bad = log.options;
    bad.types = 0;
    snprintf(bad.file, sizeof bad.file, "%s/no/such/dir", log.dir);
    char error[400] = "";
    CHECK_FALSE(log_configure(&bad, error, sizeof error));
    CHECK(std::string(error).find("/no/such/dir") != std::string::npos);
    CHECK(std::string(error).find("No such file") != std::string::npos);
    log_info("still here");
    CHECK(log.take() == "still here\n");
}

TEST_CASE("logging leaves errno alone") {
    LogToFile log;
    log.options.destinations = LOG_TO_FILE | LOG_TO_STDOUT;
    log.options.types = LOG_TYPE_ERROR;
    log.apply();
    int saved = dup(STDOUT_FILENO);
    fflush(stdout);
    close(STDOUT_FILENO); // the write fails
    errno = ENOTEMPTY;
    log_error("x");
    int after = errno;
    dup2(saved, STDOUT_FILENO);
    close(saved);
    CHECK(after == ENOTEMPTY);
}

TEST_CASE("our own mistake is shown on stderr and aborts") {
    LogToFile log;
    std::string caught = log.path + ".1";
    pid_t child = fork();
    if (child == 0) {
        int fd = open(caught.c_str(), O_WRONLY | O_CREAT, 0600);
        dup2(fd, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); // not doctest's handler
        BUG("no such midge");
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
    CHECK(log.read(caught).find("no such midge") != std::string::npos);
    CHECK(log.take().find("base_log_test.cpp") != std::string::npos);
}
