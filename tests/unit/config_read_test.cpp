// Files, lines and what they include.
#include <unistd.h>

#include "config_helper.h"

TEST_CASE("the seed's configuration") {
    Text t("listener 1883\nprotocol mqtt\n\nlistener 9001\nprotocol websockets\n");
    REQUIRE(t.is_good);
    REQUIRE(t.config.listeners.size == 2);
    CHECK(t.listener(0).net.port == 1883);
    CHECK(t.listener(0).net.protocol == Protocol::Mqtt);
    CHECK(t.listener(1).net.port == 9001);
    CHECK(t.listener(1).net.protocol == Protocol::WebSockets);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(t.listener(i).policy.anonymous == Anonymous::Home);
        CHECK_FALSE(t.listener(i).net.loopback_only);
    }
    CHECK_FALSE(t.config.local_only);
    CHECK(t.config.anonymous_by_home);
    CHECK(t.config.notes.size == 0);
}

TEST_CASE("a missing file") {
    ConfigArguments a = {.file = "/nowhere/knut.conf"};
    Outcome o(a);
    CHECK_FALSE(o.is_good);
    CHECK(o.message() ==
          "Error: Unable to open config file '/nowhere/knut.conf'. No such file or directory.");
    CHECK(o.place() == "");
}

TEST_CASE("a directory is no file") {
    Folder folder;
    std::string path = folder.path.string();
    ConfigArguments a = {.file = path.c_str()};
    Outcome o(a);
    CHECK(o.message() == "Error: Unable to read config file '" + path + "'. Is a directory.");
}

TEST_CASE("blank lines, comments, blanks and line endings") {
    Text t("# comment\r\n\r\n   \t \r\n  sys_interval    7   \r\n#sys_interval 8\r\n"
           "pid_file  a path with blanks  \r\nmax_packet_size = 30\n"
           "auto_id_prefix = x");
    REQUIRE(t.is_good);
    CHECK(t.config.broker.sys_interval_s == 7);
    CHECK(std::string(t.config.pid_file) == "a path with blanks");
    CHECK(t.config.broker.max_packet_size == 30);
    CHECK(std::string(t.listener(0).policy.auto_id_prefix) == "x");
}

TEST_CASE("characters that mean something to inih mean nothing") {
    Text t("pid_file a;b ; c = d : e # f [g]\nauto_id_prefix ;=:[#\n");
    REQUIRE(t.is_good);
    CHECK(std::string(t.config.pid_file) == "a;b ; c = d : e # f [g]");
    CHECK(std::string(t.listener(0).policy.auto_id_prefix) == ";=:[#");
    for (const char *line : {"[section]", "; text", ": text", "= text", "[", "a=b", "]x 1"}) {
        INFO(std::string(line));
        Text wrong(std::string(line) + "\n");
        CHECK_FALSE(wrong.is_good);
        CHECK(wrong.message().starts_with("Error: Unknown configuration variable '"));
        CHECK(wrong.place() == "Error found at " + wrong.file() + ":1.");
    }
}

TEST_CASE("an equals sign is a separator right after the name only") {
    CHECK(std::string(Text("pid_file = = a").config.pid_file) == "= a");
    CHECK(std::string(Text("pid_file =a").config.pid_file) == "=a");
    CHECK(std::string(Text("pid_file a = b").config.pid_file) == "a = b");
    CHECK(Text("listener = 1884 127.0.0.1").listener(0).net.port == 1884);
}

// A line of `size` bytes.
static std::string origin(size_t size) {
    std::string text = "websockets_origin ";
    while (text.size() < size) text += static_cast<char>('a' + text.size() % 26);
    return text;
}

TEST_CASE("long lines come through whole, up to 4096 bytes") {
    for (size_t size : {100u, 198u, 199u, 200u, 201u, 255u, 256u, 1023u, 4000u, 4095u, 4096u}) {
        for (const char *end : {"\n", "\r\n", ""}) {
            CAPTURE(size);
            Text t("listener 9001\n" + origin(size) + end);
            REQUIRE(t.is_good);
            REQUIRE(t.listener(0).net.websockets_origins.size == 1);
            Bytes got = t.listener(0).net.websockets_origins[0];
            CHECK(std::string(got) == origin(size).substr(18));
        }
    }
}

TEST_CASE("the line behind a long one is read as well") {
    Text t("listener 9001\n" + origin(4096) + "\r\nmax_connections 5\n");
    REQUIRE(t.is_good);
    CHECK(t.listener(0).net.max_connections == 5);
}

TEST_CASE("longer lines are refused, comments too") {
    for (size_t size : {4097u, 4098u, 5000u, 100000u}) {
        Text t("listener 9001\n" + origin(size) + "\n");
        CHECK(t.message() ==
              "Error: The line is too long (at most 4096 bytes are possible).");
        CHECK(t.place() == "Error found at " + t.file() + ":2.");
    }
    CHECK_FALSE(Text("#" + origin(5000)).is_good);
}

TEST_CASE("a long unknown name does not break the message") {
    Text t(std::string(3000, 'x') + " 1\n");
    CHECK(t.message() ==
          "Error: Unknown configuration variable '" + std::string(120, 'x') + "'.");
    CHECK(t.place() == "Error found at " + t.file() + ":1.");
}

TEST_CASE("a file with NUL bytes is not text") {
    Text t(std::string("sys_interval 5\0\n", 16));
    CHECK(t.message() == "Error: The line holds a NUL byte; this is not a text file.");
}

TEST_CASE("a byte order mark is skipped") {
    CHECK(Text("\xef\xbb\xbfsys_interval 5\n").config.broker.sys_interval_s == 5);
    CHECK(Text("\xef\xbb\xbf# comment\n").is_good);
    CHECK_FALSE(Text("\n\xef\xbb\xbfsys_interval 5\n").is_good);
}

TEST_CASE("include_dir reads *.conf in byte order") {
    Folder folder;
    folder.write("conf.d/B.conf", "listener 2\n");
    folder.write("conf.d/a.conf", "listener 3\n");
    folder.write("conf.d/10.conf", "listener 1\n");
    folder.write("conf.d/notes.txt", "nonsense\n");
    folder.write("conf.d/x.conf.bak", "nonsense\n");
    folder.write("conf.d/.conf", "nonsense\n");
    for (const char *tail : {"", "/"}) {
        std::string file = folder.write(
            "knut.conf", "include_dir " + (folder.path / "conf.d").string() + tail + "\n");
        ConfigArguments a = {.file = file.c_str()};
        Outcome o(a);
        REQUIRE(o.is_good);
        REQUIRE(o.config.listeners.size == 3);
        for (uint32_t i = 0; i < 3; i++) CHECK(o.listener(i).net.port == i + 1);
    }
}

TEST_CASE("a relative include_dir starts from the working directory, as in Mosquitto") {
    Folder folder;
    folder.write("conf.d/1.conf", "listener 7\n");
    folder.write("conf.d/2.conf", "sys_interval 77\n");
    std::string file = folder.write("knut.conf", "include_dir conf.d\n");
    std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path);
    ConfigArguments a = {.file = "knut.conf"};
    Outcome o(a);
    std::filesystem::current_path(before);
    REQUIRE(o.is_good);
    CHECK(o.listener(0).net.port == 7);
    CHECK(o.config.broker.sys_interval_s == 77);
}

TEST_CASE("a mistake in an included file is found there") {
    Folder folder;
    std::string bad = folder.write("conf.d/1.conf", "\nnonsense\n");
    std::string file = folder.write(
        "knut.conf", "include_dir " + (folder.path / "conf.d").string() + "\nworse\n");
    ConfigArguments a = {.file = file.c_str()};
    Outcome o(a);
    CHECK(o.message() == "Error: Unknown configuration variable 'nonsense'.");
    CHECK(o.place() == "Error found at " + bad + ":2.");
}

TEST_CASE("each file begins without a listener, and the main one goes on with its own") {
    Folder folder;
    folder.write("conf.d/1.conf", "max_qos 1\nlistener 2\nmax_qos 0\n");
    std::string file =
        folder.write("knut.conf", "listener 1\ninclude_dir " + (folder.path / "conf.d").string() +
                                      "\nmax_connections 9\n");
    ConfigArguments a = {.file = file.c_str()};
    Outcome o(a);
    REQUIRE(o.is_good);
    REQUIRE(o.config.listeners.size == 3);
    CHECK(o.listener(0).net.port == 1);
    CHECK(o.listener(0).net.max_connections == 9);
    CHECK(o.listener(1).net.port == 1883); // the default listener
    CHECK(o.listener(1).policy.max_qos == 1);
    CHECK(o.listener(2).policy.max_qos == 0);
}

TEST_CASE("include_dir in an included file is named, not followed") {
    Folder folder;
    folder.write("conf.d/1.conf", "include_dir /nowhere\n");
    std::string file =
        folder.write("knut.conf", "include_dir " + (folder.path / "conf.d").string() + "\n");
    ConfigArguments a = {.file = file.c_str()};
    Outcome o(a);
    CHECK(o.is_good);
    CHECK(o.has_note("it works in the main file only"));
}

TEST_CASE("a missing include_dir is a mistake") {
    Text t("include_dir /nowhere\n");
    CHECK(t.message() == "Error: Unable to open include_dir '/nowhere'. No such file or directory.");
    CHECK(t.place() == "Error found at " + t.file() + ":1.");
}

TEST_CASE("every proper prefix of a file is read or refused, never worse") {
    const std::string text = "listener 1883\nprotocol mqtt\nlog_dest file /x\naccept_protocol_versions "
                             "3, 4\nlistener 0 /s\nmount_point a/\r\nuser = me\n";
    for (size_t n = 0; n <= text.size(); n++) {
        Text t(text.substr(0, n));
        CHECK(t.is_good == t.message().empty());
    }
    CHECK(Text(text).is_good);
}
