// config/options_later.cpp -- what knut does not have yet: the durable store,
// TLS, bridges, plugins. A row of work to come moves to a table of its own
// once it works.
#include "config/draft.h"

static constexpr Option later(const char *name, Scope scope, const char *why, const char *help) {
    return {.name = name, .scope = scope, .state = State::Later, .why = why, .help = help};
}

// A switch that is refused when it is on.
static constexpr Option later_switch(const char *name, Scope scope, const char *why,
                                     const char *help) {
    return {.name = name, .kind = Kind::Bool, .scope = scope, .state = State::Later,
            .off = "false", .why = why, .help = help};
}

static constexpr Option store(const char *name, const char *help) {
    return later(name, Scope::Global, "persistence", help);
}

static constexpr Option tls(const char *name, const char *help) {
    return later(name, Scope::Listener, "TLS", help);
}

static constexpr Option tls_switch(const char *name, const char *help) {
    return later_switch(name, Scope::Listener, "TLS", help);
}

static constexpr Option bridge(const char *name, const char *help) {
    return later(name, Scope::Bridge, "bridges", help);
}

static constexpr Option needs_listener(Option o) {
    o.flags |= NEEDS_LISTENER;
    return o;
}

static constexpr Option never(Option o, const char *why) {
    o.state = State::Never;
    o.why = why;
    return o;
}

static constexpr Option STORE[] = {
    later_switch("persistence", Scope::Global, "persistence",
                 "keep sessions and retained messages over a restart"),
    later_switch("retained_persistence", Scope::Global, "persistence",
                 "old name of persistence"),
    store("persistence_file", "name of the file"),
    store("persistence_location", "directory of the file"),
    store("autosave_interval", "seconds between saves"),
    later_switch("autosave_on_changes", Scope::Global, "persistence",
                 "count changes instead of seconds"),
    store("durability", "what an acknowledgement promises: full, normal or relaxed"),
    store("commit_interval", "milliseconds a message may wait before it is written"),
    store("sync_interval", "seconds between synchronisations to the disk"),
    store("retained_interval", "seconds between writes of retained values of QoS 0"),
};

static constexpr char NO_ENGINES[] = "OpenSSL engines have gone out of use";

static constexpr Option TLS[] = {
    needs_listener(tls("cafile", "file with the authorities that client certificates need")),
    tls("capath", "directory with such files"),
    tls("certfile", "certificate of this server"),
    tls("keyfile", "key of this server"),
    tls("ciphers", "ciphers up to TLS 1.2"),
    tls("ciphers_tls1.3", "ciphers of TLS 1.3"),
    tls("crlfile", "revoked client certificates"),
    {.name = "dhparamfile", .state = State::NoEffect, .why = "it is gone in Mosquitto too",
     .help = "gone: did name a file with parameters for key exchange"},
    needs_listener(tls_switch("disable_client_cert_date_checks",
                              "take client certificates that have expired")),
    tls_switch("require_certificate", "clients must show a certificate"),
    needs_listener(tls("tls_version", "lowest version of TLS")),
    tls_switch("use_identity_as_username", "the certificate's common name is the user name"),
    tls_switch("use_subject_as_username", "the certificate's subject is the user name"),
    tls("psk_hint", "makes this a listener for TLS-PSK"),
    never(tls("tls_engine", "OpenSSL engine"), NO_ENGINES),
    never(tls("tls_engine_kpass_sha1", "password for the key of an engine"), NO_ENGINES),
    {.name = "tls_keyform", .kind = Kind::Text, .scope = Scope::Listener, .state = State::Never,
     .off = "pem", .why = NO_ENGINES, .help = "form of the key: pem or engine"},
};

static constexpr Option BRIDGE[] = {
    later("connection", Scope::Global, "bridges", "begins a bridge to another broker"),
    bridge("address", "brokers to connect to"),
    bridge("addresses", "another name of address"),
    bridge("topic", "topics to share"),
    bridge("bridge_alpn", "ALPN name"),
    bridge("bridge_attempt_unsubscribe", "unsubscribe from topics that only go out"),
    bridge("bridge_bind_address", "local address"),
    bridge("bridge_cafile", "file with authorities"),
    bridge("bridge_capath", "directory with authorities"),
    bridge("bridge_certfile", "client certificate"),
    bridge("bridge_ciphers", "ciphers up to TLS 1.2"),
    bridge("bridge_ciphers_tls1.3", "ciphers of TLS 1.3"),
    bridge("bridge_identity", "TLS-PSK identity"),
    bridge("bridge_insecure", "do not check the host name"),
    bridge("bridge_keyfile", "key of the client certificate"),
    bridge("bridge_max_packet_size", "largest packet that is sent"),
    bridge("bridge_max_topic_alias", "topic aliases"),
    bridge("bridge_outgoing_retain", "keep the retain flag on what goes out"),
    bridge("bridge_protocol_version", "mqttv31, mqttv311 or mqttv50"),
    bridge("bridge_psk", "TLS-PSK key"),
    bridge("bridge_receive_maximum", "receive maximum"),
    bridge("bridge_reload_type", "lazy or immediate"),
    bridge("bridge_require_ocsp", "demand an OCSP answer"),
    bridge("bridge_session_expiry_interval", "session expiry"),
    bridge("bridge_tcp_keepalive", "TCP keep-alive"),
    bridge("bridge_tcp_user_timeout", "TCP user timeout"),
    bridge("bridge_tls_use_os_certs", "the system's authorities"),
    bridge("bridge_tls_version", "lowest version of TLS"),
    bridge("cleansession", "clean session there"),
    bridge("clientid", "old name of remote_clientid"),
    bridge("idle_timeout", "seconds until a lazy bridge stops"),
    bridge("keepalive_interval", "seconds of keep-alive"),
    bridge("local_cleansession", "clean session here"),
    bridge("local_clientid", "client id here"),
    bridge("local_password", "password here"),
    bridge("local_username", "user name here"),
    bridge("notification_topic", "topic of the link's state"),
    bridge("notifications", "publish the link's state"),
    bridge("notifications_local_only", "publish it here only"),
    bridge("password", "old name of remote_password"),
    bridge("remote_clientid", "client id there"),
    bridge("remote_password", "password there"),
    bridge("remote_username", "user name there"),
    bridge("restart_timeout", "seconds until the next try"),
    bridge("round_robin", "stay with the address that answers"),
    bridge("start_type", "automatic, lazy or once"),
    bridge("threshold", "queued messages that start a lazy bridge"),
    bridge("try_private", "say that this is a bridge"),
    bridge("username", "old name of remote_username"),
};

static constexpr Option plugin(const char *name, Scope scope, const char *help) {
    return later(name, scope, "plugins", help);
}

static constexpr Option prefix(Option o) {
    o.flags |= PREFIX;
    return o;
}

static constexpr Option PLUGIN[] = {
    plugin("plugin", Scope::ListenerOrGlobal, "shared library for access control and more"),
    plugin("global_plugin", Scope::Global, "the same for all listeners"),
    plugin("plugin_load", Scope::Global, "load a plugin and give it a name"),
    needs_listener(plugin("plugin_use", Scope::Listener, "use a loaded plugin here")),
    plugin("auth_plugin", Scope::Global, "old name of plugin"),
    plugin("auth_plugin_deny_special_chars", Scope::Plugin, "refuse names with + and #"),
    prefix(plugin("plugin_opt_", Scope::Plugin, "plugin_opt_KEY: option for the plugin")),
    prefix(plugin("auth_opt_", Scope::Plugin, "old name of plugin_opt_KEY")),
};

constexpr std::span<const Option> OPTIONS_STORE = STORE;
constexpr std::span<const Option> OPTIONS_TLS = TLS;
constexpr std::span<const Option> OPTIONS_BRIDGE = BRIDGE;
constexpr std::span<const Option> OPTIONS_PLUGIN = PLUGIN;
