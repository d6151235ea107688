// Listeners: their place, what belongs to them, who may connect.
#include "config_helper.h"

TEST_CASE("no file, no listener: this machine only") {
    Outcome o{ConfigArguments{}};
    REQUIRE(o.is_good);
    CHECK(o.config.local_only);
    REQUIRE(o.config.listeners.size == 1);
    CHECK(o.listener(0).net.port == 1883);
    CHECK(o.listener(0).net.loopback_only);
    CHECK(o.listener(0).policy.anonymous == Anonymous::Yes);
    CHECK_FALSE(o.config.anonymous_by_home);
}

TEST_CASE("-p gives the ports where no listener is configured") {
    ConfigArguments a = {.ports = {1884, 1885}, .ports_count = 2};
    Text t("max_connections 7\nallow_zero_length_clientid false\n", a);
    REQUIRE(t.config.listeners.size == 2);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(t.listener(i).net.port == 1884 + i);
        CHECK(t.listener(i).net.loopback_only);
        CHECK(t.listener(i).net.max_connections == 7);
        CHECK_FALSE(t.listener(i).policy.allow_zero_length_clientid);
    }
    for (const char *text : {"listener 1", "port 1"}) {
        Text ignored(text, a);
        REQUIRE(ignored.config.listeners.size == 1);
        CHECK(ignored.listener(0).net.port == 1);
    }
    Text address("bind_address 127.0.0.1", a);
    CHECK(address.listener(0).net.port == 1883);
}

TEST_CASE("the same port twice with -p is a mistake") {
    ConfigArguments a = {.ports = {1884, 1884}, .ports_count = 2};
    Outcome o(a);
    CHECK_FALSE(o.is_good);
    CHECK(o.message() ==
          "Error: Duplicate listener: another one has the same port (1884) and address.");
}

TEST_CASE("listener, port and bind_address end local only mode") {
    for (const char *text : {"listener 1883", "port 1883", "bind_address 0.0.0.0"}) {
        INFO(std::string(text));
        Text t(text);
        REQUIRE(t.is_good);
        CHECK_FALSE(t.config.local_only);
        CHECK_FALSE(t.listener(0).net.loopback_only);
        CHECK(t.listener(0).net.port == 1883);
        CHECK(t.listener(0).policy.anonymous == Anonymous::Home);
    }
    CHECK(Text("max_connections 5").config.local_only);
    CHECK(Text("allow_anonymous true").config.local_only);
}

TEST_CASE("places of listeners") {
    Text t("listener 1 127.0.0.1\nlistener 2   ::1\nlistener 3 some.host\n"
           "listener 0 /run/a b.sock\nlistener 0x10\n");
    REQUIRE(t.is_good);
    CHECK(std::string(t.listener(0).net.address) == "127.0.0.1");
    CHECK(std::string(t.listener(1).net.address) == "::1");
    CHECK(std::string(t.listener(2).net.address) == "some.host");
    CHECK(std::string(t.listener(3).net.path) == "/run/a b.sock");
    CHECK(t.listener(3).net.port == 0);
    CHECK(t.listener(4).net.port == 16);
    CHECK(t.listener(4).line == 5);
    CHECK_FALSE(Text("listener 0 /" + std::string(107, 'x')).is_good);
    CHECK(Text("listener 0 /" + std::string(106, 'x')).is_good);
}

TEST_CASE("port and bind_address are the default listener, wherever they stand") {
    Text t("listener 1\nport 2\nbind_address 127.0.0.1\nmax_connections 3\n");
    REQUIRE(t.config.listeners.size == 2);
    CHECK(t.listener(0).net.max_connections == 3);
    CHECK(t.listener(1).net.port == 2);
    CHECK(std::string(t.listener(1).net.address) == "127.0.0.1");
    CHECK(t.listener(1).net.max_connections == -1);
}

TEST_CASE("two listeners in one place are a mistake, found at the second") {
    Text t("listener 1883\n\nlistener 1883\n");
    CHECK(t.message() ==
          "Error: Duplicate listener: another one has the same port (1883) and address.");
    CHECK(t.place() == "Error found at " + t.file() + ":3.");
    CHECK(Text("listener 1883 127.0.0.1\nlistener 1883 ::1\n").is_good);
}

TEST_CASE("options of a listener") {
    Text t("listener 1\nprotocol websockets\nmax_connections 5\nmax_qos 1\nmax_topic_alias 3\n"
           "max_topic_alias_broker 4\nmount_point m/\nsocket_domain ipv6\nbind_interface lo\n"
           "use_username_as_clientid true\naccept_protocol_versions 4 ,5\n"
           "websockets_origin https://a.example\nwebsockets_origin b.example\n"
           "listener 2\nmaximum_qos 0\nsocket_domain ipv4\nprotocol websockets\nprotocol mqtt\n");
    REQUIRE(t.is_good);
    const ConfigListener &a = t.listener(0), &b = t.listener(1);
    CHECK(a.net.protocol == Protocol::WebSockets);
    CHECK(a.net.max_connections == 5);
    CHECK(a.policy.max_qos == 1);
    CHECK(a.policy.max_topic_alias == 3);
    CHECK(a.policy.max_topic_alias_broker == 4);
    CHECK(std::string(a.policy.mount_point) == "m/");
    CHECK(a.net.domain == SocketDomain::Ipv6);
    CHECK(std::string(a.net.interface) == "lo");
    CHECK(a.policy.use_username_as_clientid);
    CHECK_FALSE(a.policy.accept_v31);
    CHECK(a.policy.accept_v311);
    CHECK(a.policy.accept_v5);
    REQUIRE(a.net.websockets_origins.size == 2);
    CHECK(a.net.websockets_origins[0] == "https://a.example");
    CHECK(a.net.websockets_origins[1] == "b.example");

    CHECK(b.net.protocol == Protocol::Mqtt);
    CHECK(b.policy.max_qos == 0);
    CHECK(b.net.domain == SocketDomain::Ipv4);
    CHECK(b.policy.accept_v31);
    CHECK(b.net.websockets_origins.size == 0);
    CHECK(b.net.max_connections == -1);
}

TEST_CASE("some options want a listener first") {
    for (const char *name :
         {"accept_protocol_versions", "mount_point", "max_topic_alias", "max_topic_alias_broker",
          "listener_allow_anonymous", "listener_auto_id_prefix", "websockets_origin", "cafile",
          "enable_proxy_protocol", "proxy_protocol_v2_require_tls", "http_dir", "tls_version",
          "disable_client_cert_date_checks", "plugin_use"}) {
        INFO(std::string(name));
        Text t(std::string(name) + " 1\n");
        CHECK(t.message() == std::string("Error: The '") + name +
                                 "' option requires a listener to be defined first.");
        Text after_port("port 1883\n" + std::string(name) + " 1\n");
        CHECK(after_port.message() == t.message());
    }
}

TEST_CASE("the others make the default listener") {
    Text t("max_qos 1\nuse_username_as_clientid true\n");
    REQUIRE(t.is_good);
    REQUIRE(t.config.listeners.size == 1);
    CHECK(t.config.local_only);
    CHECK(t.listener(0).policy.max_qos == 1);
    CHECK(t.listener(0).policy.use_username_as_clientid);
}

static Anonymous anonymous_of(const std::string &text, uint32_t i = 0) {
    Text t(text);
    REQUIRE(t.is_good);
    CHECK(t.config.anonymous_by_home == (t.listener(i).policy.anonymous == Anonymous::Home));
    return t.listener(i).policy.anonymous;
}

TEST_CASE("who may connect without a user name") {
    CHECK(anonymous_of("") == Anonymous::Yes);
    CHECK(anonymous_of("allow_anonymous false") == Anonymous::No);
    CHECK(anonymous_of("allow_anonymous true") == Anonymous::Yes);
    CHECK(anonymous_of("listener 1") == Anonymous::Home);
    CHECK(anonymous_of("listener 1\nallow_anonymous false") == Anonymous::No);
    CHECK(anonymous_of("allow_anonymous true\nlistener 1") == Anonymous::Yes);
    CHECK(anonymous_of("listener 1\nlistener_allow_anonymous true") == Anonymous::Yes);
    CHECK(anonymous_of("listener 1\nlistener_allow_anonymous true\nallow_anonymous false") ==
          Anonymous::Yes);
    CHECK(anonymous_of("allow_anonymous true\nlistener 1\nlistener_allow_anonymous false") ==
          Anonymous::No);
}

TEST_CASE("without per_listener_settings allow_anonymous holds for all") {
    Text t("listener 1\nallow_anonymous false\nlistener 2\nallow_anonymous true\nlistener 3\n");
    for (uint32_t i = 0; i < 3; i++) CHECK(t.listener(i).policy.anonymous == Anonymous::Yes);
}

TEST_CASE("with per_listener_settings each listener has its own") {
    Text t("per_listener_settings true\nlistener 1\nallow_anonymous false\n"
           "auto_id_prefix one-\nmax_outbox_bytes 1000\n"
           "listener 2\nallow_anonymous true\nallow_zero_length_clientid false\nlistener 3\n");
    REQUIRE(t.is_good);
    CHECK(t.listener(0).policy.anonymous == Anonymous::No);
    CHECK(t.listener(1).policy.anonymous == Anonymous::Yes);
    CHECK(t.listener(2).policy.anonymous == Anonymous::Home);
    CHECK(t.config.anonymous_by_home);
    CHECK(std::string(t.listener(0).policy.auto_id_prefix) == "one-");
    CHECK(std::string(t.listener(1).policy.auto_id_prefix) == "auto-");
    CHECK(t.listener(0).policy.max_outbox_bytes == 1000);
    CHECK(t.listener(1).policy.max_outbox_bytes == 0);
    CHECK(t.listener(0).policy.allow_zero_length_clientid);
    CHECK_FALSE(t.listener(1).policy.allow_zero_length_clientid);
    CHECK(t.has_note("The 'per_listener_settings' option is deprecated."));
}

TEST_CASE("per_listener_settings comes first and stays") {
    CHECK(Text("allow_anonymous true\nper_listener_settings true").message() ==
          "Error: 'per_listener_settings' must stand before 'allow_anonymous'.");
    CHECK(Text("per_listener_settings true\nper_listener_settings false").message() ==
          "Error: 'per_listener_settings' cannot be undone.");
    CHECK(Text("per_listener_settings false\nallow_anonymous true\nper_listener_settings false")
              .is_good);
}

TEST_CASE("ids that are made up") {
    Text t("auto_id_prefix all-\nlistener 1\nlistener_auto_id_prefix mine-\nlistener 2\n");
    REQUIRE(t.is_good);
    CHECK(std::string(t.listener(0).policy.auto_id_prefix) == "mine-");
    CHECK(std::string(t.listener(1).policy.auto_id_prefix) == "all-");
    CHECK(std::string(Text("listener 1").listener(0).policy.auto_id_prefix) == "auto-");
    Text longest("listener 1\nlistener_auto_id_prefix " + std::string(50, 'x'));
    CHECK(longest.is_good);
}

TEST_CASE("origins live as long as the configuration, also for copies by -p") {
    ConfigArguments a = {.ports = {1, 2}, .ports_count = 2};
    Text t("max_connections 1\n", a);
    CHECK(t.listener(1).net.max_connections == 1);
}
