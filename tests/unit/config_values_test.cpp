// Values and the messages about them.
#include "config_helper.h"

struct Wrong {
    const char *text;
    const char *message;
};

// Each stands alone in a file behind `listener 1883`, so on line 2.
static const Wrong WRONG[] = {
    {"nonsense", "Error: Unknown configuration variable 'nonsense'."},
    {"pid_file", "Error: Empty 'pid_file' value in configuration."},
    {"pid_file   ", "Error: Empty 'pid_file' value in configuration."},
    {"pid_file =", "Error: Empty 'pid_file' value in configuration."},
    {"listener", "Error: Empty 'listener port' value in configuration."},
    {"listener  ", "Error: Empty 'listener port' value in configuration."},
    {"allow_anonymous", "Error: Empty 'allow_anonymous' value in configuration."},
    {"allow_anonymous yes", "Error: Invalid 'allow_anonymous' value (yes). Possible are: true, false."},
    {"allow_anonymous True", "Error: Invalid 'allow_anonymous' value (True). Possible are: true, false."},
    {"protocol mqqt", "Error: Invalid 'protocol' value (mqqt). Possible are: mqtt, websockets."},
    {"protocol http_api", "Error: The 'protocol http_api' option is not supported yet."},
    {"protocol auto", "Error: The 'protocol auto' option is not supported yet."},
    {"port 0", "Error: Invalid 'port' value (0)."},
    {"port 65536", "Error: Invalid 'port' value (65536)."},
    {"port x", "Error: 'port' value not a number."},
    {"listener 65536", "Error: Invalid 'listener port' value (65536)."},
    {"listener -1", "Error: Invalid 'listener port' value (-1)."},
    {"listener mqtt", "Error: 'listener port' value not a number."},
    {"listener 0", "Error: A listener with port 0 must provide a Unix socket path."},
    {"max_keepalive 65536", "Error: Invalid 'max_keepalive' value (65536)."},
    {"max_keepalive -1", "Error: Invalid 'max_keepalive' value (-1)."},
    {"message_size_limit 268435456", "Error: Invalid 'message_size_limit' value (268435456)."},
    {"message_size_limit -1", "Error: Invalid 'message_size_limit' value (-1)."},
    {"memory_limit -1", "Error: Invalid 'memory_limit' value (-1)."},
    {"sys_interval -1", "Error: Invalid 'sys_interval' value (-1)."},
    {"sys_interval 65536", "Error: Invalid 'sys_interval' value (65536)."},
    {"sys_interval ten", "Error: 'sys_interval' value not a number."},
    {"sys_interval 10s", "Error: 'sys_interval' value not a number."},
    {"sys_interval 99999999999999999999",
     "Error: Invalid 'sys_interval' value (99999999999999999999)."},
    {"mount_point a/+/b",
     "Error: Invalid 'mount_point' value (a/+/b). Does it contain a wildcard character?"},
    {"mount_point a/#",
     "Error: Invalid 'mount_point' value (a/#). Does it contain a wildcard character?"},
    {"max_qos 3", "Error: 'max_qos' must be between 0 and 2 inclusive."},
    {"maximum_qos -1", "Error: 'max_qos' must be between 0 and 2 inclusive."},
    {"max_inflight_messages 65536", "Error: 'max_inflight_messages' must be <= 65535."},
    {"max_packet_size 19", "Error: 'max_packet_size' must be >= 20."},
    {"max_topic_alias -1", "Error: Invalid 'max_topic_alias' value in configuration."},
    {"max_topic_alias 65536", "Error: Invalid 'max_topic_alias' value in configuration."},
    {"max_topic_alias_broker -1",
     "Error: Invalid 'max_topic_alias_broker' value in configuration."},
    {"max_topic_alias_broker 65536",
     "Error: Invalid 'max_topic_alias_broker' value in configuration."},
    {"listener_auto_id_prefix 012345678901234567890123456789012345678901234567890",
     "Error: 'listener_auto_id_prefix' length must be <= 50."},
    {"auto_id_prefix 012345678901234567890123456789012345678901234567890",
     "Error: 'auto_id_prefix' length must be <= 50."},
    {"websockets_headers_size 65536",
     "Error: Packet buffer size must be between 0 and 65535 inclusive."},
    {"packet_buffer_size -1",
     "Error: Packet buffer size must be between 0 and 65535 inclusive."},
    {"plugin_opt_", "Error: Invalid 'plugin_opt_' config option."},
    {"plugin_opt_colour red", "Error: The 'plugin_opt_colour' option requires a "
                              "plugin/global_plugin/plugin_load to be defined first."},
    {"remote_username me",
     "Error: The 'remote_username' option requires a bridge to be defined first."},
    {"connection home", "Error: The 'connection' option is not supported yet (bridges)."},
    {"certfile a.pem", "Error: The 'certfile' option is not supported yet (TLS)."},
    {"persistence true", "Error: The 'persistence' option is not supported yet (persistence)."},
    {"persistence maybe", "Error: Invalid 'persistence' value (maybe). Possible are: true, false."},
    {"password_file p",
     "Error: The 'password_file' option is not supported yet (user names and passwords)."},
    {"tls_engine dynamic",
     "Error: The 'tls_engine' option is not supported: OpenSSL engines have gone out of use."},
    {"log_dest dlt",
     "Error: The 'log_dest dlt' option is not supported: it is for other systems."},
    {"log_dest printer", "Error: Invalid 'log_dest' value (printer). Possible are: stderr, stdout, syslog, topic, file PATH, none."},
    {"log_dest file", "Error: Empty 'log_dest file' value in configuration."},
    {"log_type loud", "Error: Invalid 'log_type' value (loud). Possible are: error, warning, notice, "
                      "information, subscribe, unsubscribe, websockets, debug, internal, all, none."},
    {"log_facility 8", "Error: Invalid 'log_facility' value (8)."},
    {"log_format json", "Error: The 'log_format json' option is not supported yet."},
    {"log_format xml", "Error: Invalid 'log_format' value (xml). Possible are: text."},
    {"socket_domain ipx", "Error: Invalid 'socket_domain' value (ipx). Possible are: ipv4, ipv6."},
    {"accept_protocol_versions 3,6", "Error: Invalid 'accept_protocol_versions' value (3,6)."},
    {"accept_protocol_versions ,", "Error: Invalid 'accept_protocol_versions' value (,)."},
    {"persistent_client_expiration 7", "Error: Invalid 'persistent_client_expiration' value (7)."},
    {"persistent_client_expiration 0d",
     "Error: Invalid 'persistent_client_expiration' value (0d)."},
    {"persistent_client_expiration 200y",
     "Error: Invalid 'persistent_client_expiration' value (200y)."},
    {"persistent_client_expiration d", "Error: Invalid 'persistent_client_expiration' value (d)."},
    {"connect_timeout 0", "Error: Invalid 'connect_timeout' value (0)."},
    {"bind_interface a-name-that-is-too-long",
     "Error: The 'bind_interface' value is too long (23 bytes, at most 15 are possible)."},
    {"pid_file \xff\xfe", "Error: The 'pid_file' value is not valid UTF-8 text."},
    {"per_listener_settings maybe", "Error: Invalid 'per_listener_settings' value (maybe). Possible are: true, false."},
};

TEST_CASE("a wrong value is refused with Mosquitto's words, and the place") {
    for (const Wrong &w : WRONG) {
        INFO(std::string(w.text));
        Text t(std::string("listener 1883\n") + w.text + "\n");
        CHECK_FALSE(t.is_good);
        CHECK(t.message() == std::string(w.message));
        CHECK(t.place() == "Error found at " + t.file() + ":2.");
    }
}

TEST_CASE("the first mistake is the one that is reported") {
    Text t("nonsense 1\nnonsense 2\nsys_interval x\n");
    CHECK(t.message() == "Error: Unknown configuration variable 'nonsense'.");
    CHECK(t.place() == "Error found at " + t.file() + ":1.");
}

TEST_CASE("what was probably meant is named") {
    static const Wrong NEAR[] = {
        {"listner 1883", "'listner'. Did you mean 'listener'?"},
        {"Listener 1883", "'Listener'. Did you mean 'listener'?"},
        {"lsitener 1883", "'lsitener'. Did you mean 'listener'?"},
        {"prt 1883", "'prt'. Did you mean 'port'?"},
        {"allow_anonymus true", "'allow_anonymus'. Did you mean 'allow_anonymous'?"},
        {"allow-anonymous true", "'allow-anonymous'. Did you mean 'allow_anonymous'?"},
        {"websocket_origin x", "'websocket_origin'. Did you mean 'websockets_origin'?"},
        {"listener=1883",
         "'listener=1883'. Did you mean 'listener'? A blank must follow the name."},
        {"listener\t1883", "'listener?1883'. Did you mean 'listener'? A blank must follow the name."},
        {"  # no comment", "'#'. A comment begins in the first column."},
        {"ax 1", "'ax'."},
        {"something_else_entirely 1", "'something_else_entirely'."},
    };
    for (const Wrong &w : NEAR) {
        INFO(std::string(w.text));
        Text t(std::string(w.text) + "\n");
        CHECK(t.message() == std::string("Error: Unknown configuration variable ") + w.message);
    }
}

TEST_CASE("control characters of a file do not reach the terminal") {
    Text t("bell\a\x1b[31m 1\n");
    CHECK(t.message() == "Error: Unknown configuration variable 'bell??[31m'.");
}

TEST_CASE("integers are written as in C") {
    CHECK(Text("max_packet_size 0x100").config.broker.max_packet_size == 256);
    CHECK(Text("max_packet_size 0100").config.broker.max_packet_size == 64);
    CHECK(Text("max_packet_size 100").config.broker.max_packet_size == 100);
    CHECK(Text("max_packet_size 100 and more").config.broker.max_packet_size == 100);
}

TEST_CASE("booleans are true, 1, false and 0") {
    CHECK(Text("queue_qos0_messages true").config.broker.queue_qos0_messages);
    CHECK(Text("queue_qos0_messages 1").config.broker.queue_qos0_messages);
    CHECK_FALSE(Text("connection_messages false").config.broker.connection_messages);
    CHECK_FALSE(Text("connection_messages 0").config.broker.connection_messages);
}

TEST_CASE("numbers below what makes sense mean no limit where Mosquitto says so") {
    Text t("max_inflight_messages -5\nmax_queued_messages -1\nglobal_max_connections -7\n"
           "global_max_clients -7\nmax_connections -3\n");
    REQUIRE(t.is_good);
    CHECK(t.config.broker.max_inflight_messages == 0);
    CHECK(t.config.broker.max_queued_messages == 0);
    CHECK(t.config.net.max_connections == -1);
    CHECK(t.config.broker.global_max_clients == -1);
    CHECK(t.listener(0).net.max_connections == -1);
}

TEST_CASE("units are converted") {
    Text t("connect_timeout 3\nretain_expiry_interval 2\npersistent_client_expiration 2m\n");
    REQUIRE(t.is_good);
    CHECK(t.config.broker.connect_timeout_ms == 3000);
    CHECK(t.config.net.handshake_timeout_ms == 3000);
    CHECK(t.config.broker.retain_expiry_interval_s == 120);
    CHECK(t.config.broker.persistent_client_expiration_s == 60u * 24 * 60 * 60);
    struct { const char *text; uint32_t seconds; } const units[] = {
        {"90s", 90}, {"5h", 18000}, {"1d", 86400}, {"1w", 604800}, {"1y", 31536000},
    };
    for (auto &u : units)
        CHECK(Text(std::string("persistent_client_expiration ") + u.text)
                  .config.broker.persistent_client_expiration_s == u.seconds);
}

TEST_CASE("a text given twice is a mistake, except where the last one counts") {
    CHECK(Text("pid_file a\npid_file b").message() ==
          "Error: Duplicate 'pid_file' value in configuration.");
    CHECK(Text("bind_address 127.0.0.1\nbind_address ::1").message() ==
          "Error: Duplicate 'bind_address' value in configuration.");
    CHECK(Text("log_timestamp_format %H\nlog_timestamp_format %M").message() ==
          "Error: Duplicate 'log_timestamp_format' value in configuration.");
    CHECK(Text("auto_id_prefix a\nauto_id_prefix b").message() ==
          "Error: Duplicate 'auto_id_prefix' value in configuration.");
    CHECK(Text("log_dest file a\nlog_dest file b").message() ==
          "Error: Duplicate 'log_dest file' value in configuration.");
    CHECK(Text("listener 1\nbind_interface lo\nbind_interface lo").message() ==
          "Error: Duplicate 'bind_interface' value in configuration.");
    CHECK(Text("listener 1\nbind_interface lo\nlistener 2\nbind_interface lo").is_good);

    Text last("user a\nuser b\nclientid_prefixes a\nclientid_prefixes b\nlistener 1\n"
              "mount_point a/\nmount_point b/\n");
    REQUIRE(last.is_good);
    CHECK(std::string(last.config.user) == "b");
    REQUIRE(last.config.broker.clientid_prefixes.size == 1);
    CHECK(last.config.broker.clientid_prefixes[0] == "b");
    CHECK(std::string(last.listener(0).policy.mount_point) == "b/");
    CHECK(Text("sys_interval 1\nsys_interval 2").config.broker.sys_interval_s == 2);
}

TEST_CASE("what is deprecated or without effect is said") {
    Text t("port 1884\nretry_interval whatever\ndhparamfile x\nwebsockets_log_level 3\n"
           "packet_buffer_size 10\nmessage_size_limit 10\n");
    REQUIRE(t.is_good);
    CHECK(t.has_note("The 'port' option is deprecated, use 'listener' instead."));
    CHECK(t.has_note("The 'retry_interval' option has no effect: it is gone in Mosquitto too."));
    CHECK(t.has_note("The 'dhparamfile' option has no effect"));
    CHECK(t.has_note("The 'websockets_log_level' option has no effect"));
    CHECK(t.has_note("The 'packet_buffer_size' option has no effect"));
    CHECK(t.has_note("The 'message_size_limit' option is deprecated, use 'max_packet_size'"));
    CHECK(t.config.notes.size == 6);
}

TEST_CASE("where the log goes adds up") {
    LogOptions plain = Text("").config.log;
    CHECK(plain.destinations == LOG_TO_STDERR);
    CHECK(plain.types == LOG_TYPE_USUAL);
    CHECK(plain.syslog_facility == 3);

    Text t("log_dest syslog\nlog_dest file /tmp/a b\nlog_dest topic\nlog_type error\n"
           "log_type debug\nlog_facility 2\nlog_timestamp false\nlog_timestamp_format %H:%M\n");
    REQUIRE(t.is_good);
    CHECK(t.config.log.destinations == (LOG_TO_SYSLOG | LOG_TO_FILE | LOG_TO_TOPIC));
    CHECK(t.config.log.types == (LOG_TYPE_ERROR | LOG_TYPE_DEBUG));
    CHECK(std::string(t.config.log.file) == "/tmp/a b");
    CHECK(t.config.log.syslog_facility == 18);
    CHECK_FALSE(t.config.log.timestamp);
    CHECK(std::string(t.config.log.format) == "%H:%M");

    Text none("log_dest stdout\nlog_dest none\nlog_type all\nlog_type none\n");
    CHECK(none.config.log.destinations == 0);
    CHECK(none.config.log.types == 0);
}

TEST_CASE("-v, -q and -d win over what the file leaves open") {
    ConfigArguments verbose = {.verbose = true}, quiet = {.quiet = true}, daemon = {.daemon = true};
    CHECK(Text("log_type error", verbose).config.log.types == LOG_TYPE_ALL);
    CHECK(Text("log_type error", quiet).config.log.types == 0);
    CHECK(Text("", daemon).config.log.destinations == LOG_TO_SYSLOG);
    CHECK(Text("log_dest stderr", daemon).config.log.destinations == LOG_TO_STDERR);
}

TEST_CASE("the memory limit is known to be said or not") {
    CHECK_FALSE(Text("").config.memory_limit_said);
    Text t("memory_limit 0");
    CHECK(t.config.memory_limit_said);
    CHECK(t.config.broker.memory_limit == 0);
    CHECK(Text("memory_limit 100000000").config.broker.memory_limit == 100000000);
}
