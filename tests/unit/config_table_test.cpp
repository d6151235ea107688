// The table itself: complete, and true to what happens.
#include "config/table.h"

#include <map>
#include <set>

#include "config_helper.h"
#include "config/draft.h"

// A value that the option takes, if it takes any.
static std::string sample(const Option &o) {
    static const std::map<std::string, std::string> SAMPLES = {
        {"listener", "1884"},       {"port", "1884"},
        {"protocol", "websockets"}, {"socket_domain", "ipv4"},
        {"log_dest", "stdout"},     {"log_type", "debug"},
        {"log_facility", "1"},      {"log_format", "text"},
        {"include_dir", "/proc/self"},    {"accept_protocol_versions", "3"},
        {"mount_point", "m/"},      {"persistent_client_expiration", "1d"},
        {"per_listener_settings", "true"},
    };
    auto found = SAMPLES.find(o.name);
    if (found != SAMPLES.end()) return found->second;
    switch (o.kind) {
    case Kind::Bool: return Bytes(o.standard) == "true" ? "false" : "true";
    case Kind::Number: return o.max > 60 ? "60" : "1";
    case Kind::Text:
    case Kind::Special: return "text";
    }
    return "";
}

static std::string name_of(const Option &o) {
    return o.flags & PREFIX ? std::string(o.name) + "key" : o.name;
}

TEST_CASE("every option is stored or refused by name, none is passed over") {
    for (int i = 0; i < option_count(); i++) {
        const Option &o = option_at(i);
        INFO(std::string(o.name));
        Text t("listener 1883\n" + name_of(o) + " " + sample(o) + "\n");
        bool is_free = o.scope != Scope::Bridge && o.scope != Scope::Plugin;
        if (o.state == State::Works) {
            CHECK(t.is_good);
            CHECK((o.size > 0 || o.set));
        } else if (o.state == State::NoEffect) {
            CHECK(t.is_good);
            CHECK(t.has_note(std::string("The '") + o.name + "' option has no effect"));
        } else {
            CHECK_FALSE(t.is_good);
            CHECK(t.message().find("'" + name_of(o) + "'") != std::string::npos);
            if (is_free) CHECK(t.message().find("not supported") != std::string::npos);
        }
    }
}

TEST_CASE("what asks for nothing is accepted even before it works") {
    for (int i = 0; i < option_count(); i++) {
        const Option &o = option_at(i);
        if (!o.off) continue;
        INFO(std::string(o.name));
        CHECK(Text("listener 1883\n" + name_of(o) + " " + o.off + "\n").is_good);
    }
    CHECK(Text("persistence 0\nautosave_on_changes false\n").is_good);
}

// The bytes where an option of the listener or of all is stored.
static std::string stored(const Text &t, const Option &o) {
    const auto *base = reinterpret_cast<const char *>(&t.config);
    size_t offset = o.offset;
    if (o.scope != Scope::Global) {
        // Both begin with the same ConfigListener.
        base = reinterpret_cast<const char *>(&t.listener(0));
        offset -= offsetof(ListenerDraft, made);
        if (offset + o.size > sizeof(ConfigListener)) return "";
    }
    return std::string(base + offset, o.size);
}

TEST_CASE("each default that is told is the one that holds") {
    for (int i = 0; i < option_count(); i++) {
        const Option &o = option_at(i);
        if (o.state != State::Works || !o.size || !*o.standard) continue;
        if (std::string(o.name) == "user") continue; // left to main
        INFO(std::string(o.name));
        Text plain("listener 1883\n"), said("listener 1883\n" + name_of(o) + " " + o.standard + "\n");
        REQUIRE(said.is_good);
        CHECK(stored(plain, o) == stored(said, o));
        Text other("listener 1883\n" + name_of(o) + " " + sample(o) + "\n");
        if (!stored(plain, o).empty()) CHECK(stored(other, o) != stored(plain, o));
    }
}

TEST_CASE("defaults are Mosquitto's") {
    Text t("listener 1883\n");
    const BrokerOptions &b = t.config.broker;
    CHECK(b.max_inflight_messages == 20);
    CHECK(b.max_inflight_bytes == 0);
    CHECK(b.max_queued_messages == 1000);
    CHECK(b.max_queued_bytes == 0);
    CHECK_FALSE(b.queue_qos0_messages);
    CHECK_FALSE(b.upgrade_outgoing_qos);
    CHECK(b.allow_duplicate_messages);
    CHECK(b.clientid_prefixes.size == 0);
    CHECK(b.max_packet_size == 2000000);
    CHECK(b.message_size_limit == 0);
    CHECK(b.max_keepalive_s == 0);
    CHECK(b.connect_timeout_ms == 10000);
    CHECK(b.retain_available);
    CHECK(b.global_max_clients == -1);
    CHECK(b.persistent_client_expiration_s == 0);
    CHECK(b.retain_expiry_interval_s == 0);
    CHECK(b.sys_interval_s == 10);
    CHECK(b.connection_messages);
    const NetOptions &n = t.config.net;
    CHECK(n.max_connections == -1);
    CHECK(n.max_unauthenticated == 1000);
    CHECK(n.max_unauthenticated_per_address == 50);
    CHECK(n.max_connections_per_address == -1);
    CHECK_FALSE(n.nodelay);
    const ListenerPolicy &p = t.listener(0).policy;
    CHECK(p.allow_zero_length_clientid);
    CHECK_FALSE(p.use_username_as_clientid);
    CHECK((p.accept_v31 && p.accept_v311 && p.accept_v5));
    CHECK(p.max_qos == 2);
    CHECK(p.max_topic_alias == 10);
    CHECK(p.max_topic_alias_broker == 10);
    CHECK(p.max_outbox_bytes == 0);
    CHECK(std::string(p.mount_point).empty());
    CHECK(t.listener(0).net.max_connections == -1);
    CHECK(t.config.log.timestamp);
    CHECK(std::string(t.config.user).empty());
    CHECK(std::string(t.config.pid_file).empty());
}

TEST_CASE("rows are whole and names differ") {
    std::set<std::string> names;
    for (int i = 0; i < option_count(); i++) {
        const Option &o = option_at(i);
        INFO(std::string(o.name));
        CHECK(names.insert(o.name).second);
        CHECK(option_find(o.name) >= 0);
        CHECK((o.help && *o.help));
        bool stops = o.state == State::Later || o.state == State::Never;
        if (stops || o.state == State::NoEffect) CHECK((o.why && *o.why));
        if (o.state == State::Works && o.kind == Kind::Number) CHECK(o.max > o.min);
        if (o.state == State::Works && o.kind == Kind::Special) CHECK(bool(o.set));
    }
    CHECK(names.size() > 150);
}

TEST_CASE("everything Mosquitto knows has a row") {
    for (const char *name :
         {"acl_file", "auth_plugin", "autosave_interval", "bridge_tcp_user_timeout", "capath",
          "ciphers_tls1.3", "crlfile", "global_plugin", "keepalive_interval", "log_facility",
          "notification_topic", "plugin_load", "plugin_use", "psk_hint", "restart_timeout",
          "retained_persistence", "tls_keyform", "try_private", "use_subject_as_username"})
        CHECK(option_find(name) >= 0);
    CHECK(option_find("plugin_opt_anything") >= 0);
    CHECK(option_find("auth_opt_anything") >= 0);
    CHECK(option_find("plugin_op") < 0);
    CHECK(option_find("") < 0);
}

TEST_CASE("the list for people holds every row") {
    static int count;
    count = 0;
    config_each_option([](const char *, const char *, const char *) { count++; });
    CHECK(count == option_count());
}

TEST_CASE("a reload knows what it cannot take over") {
    static std::set<std::string> stuck;
    auto collect = [](const char *name) { stuck.insert(name); };
    Text a("user me\npid_file p\nsys_interval 1\n"), b("user you\npid_file p\nsys_interval 2\n"),
        c("user somebody\nuser me\n");
    stuck.clear();
    config_each_stuck(&a.config, &b.config, collect);
    CHECK(stuck == std::set<std::string>{"user"});
    stuck.clear();
    config_each_stuck(&a.config, &c.config, collect);
    CHECK(stuck == std::set<std::string>{"pid_file"});
}
