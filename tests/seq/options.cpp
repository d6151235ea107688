#include "seq/options.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>

#include "sim/world.h"

namespace seq {
namespace {

using Value = const std::string &;

long number(Value v) { return strtol(v.c_str(), nullptr, 10); }
bool truth(Value v) { return v == "true" || v == "1"; }
template <class T> T as(Value v) { return static_cast<T>(number(v)); }
Bytes lasting(Value v) { // for what keeps a view: as long as the process
    static std::deque<std::string> texts;
    return texts.emplace_back(v);
}

void accept_versions(const SimOptions &o, Value v) {
    o.policy->accept_v31 = v.find('3') != std::string::npos;
    o.policy->accept_v311 = v.find('4') != std::string::npos;
    o.policy->accept_v5 = v.find('5') != std::string::npos;
}

struct Row {
    const char *name;
    bool listener; // stands behind `listener` in a configuration
    void (*apply)(const SimOptions &, Value);
};

const Row ROWS[] = {
    {"allow_anonymous", false, [](const SimOptions &o, Value v) {
         o.policy->anonymous = truth(v) ? Anonymous::Yes : Anonymous::No; }},
    {"allow_duplicate_messages", false, [](const SimOptions &o, Value v) {
         o.world->options.allow_duplicate_messages = truth(v); }},
    {"allow_zero_length_clientid", false, [](const SimOptions &o, Value v) {
         o.policy->allow_zero_length_clientid = truth(v); }},
    {"auto_id_prefix", false, [](const SimOptions &o, Value v) {
         snprintf(o.policy->auto_id_prefix, sizeof o.policy->auto_id_prefix, "%s", v.c_str()); }},
    {"clientid_prefixes", false, [](const SimOptions &o, Value v) {
         vec_push(&o.world->options.clientid_prefixes, lasting(v)); }},
    {"connect_timeout", false, [](const SimOptions &o, Value v) {
         o.world->options.connect_timeout_ms = as<uint32_t>(v) * 1000;
         o.world->net->options.handshake_timeout_ms = as<uint32_t>(v) * 1000; }},
    {"global_max_clients", false, [](const SimOptions &o, Value v) {
         o.world->options.global_max_clients = number(v); }},
    {"global_max_connections", false, [](const SimOptions &o, Value v) {
         o.world->net->options.max_connections = number(v); }},
    {"max_inflight_messages", false, [](const SimOptions &o, Value v) {
         o.world->options.max_inflight_messages = as<uint16_t>(v); }},
    {"max_keepalive", false, [](const SimOptions &o, Value v) {
         o.world->options.max_keepalive_s = as<uint16_t>(v); }},
    {"max_packet_size", false, [](const SimOptions &o, Value v) {
         o.world->options.max_packet_size = as<uint32_t>(v); }},
    {"max_queued_messages", false, [](const SimOptions &o, Value v) {
         o.world->options.max_queued_messages = as<uint32_t>(v); }},
    {"message_size_limit", false, [](const SimOptions &o, Value v) {
         o.world->options.message_size_limit = as<uint32_t>(v); }},
    {"queue_qos0_messages", false, [](const SimOptions &o, Value v) {
         o.world->options.queue_qos0_messages = truth(v); }},
    {"retain_available", false, [](const SimOptions &o, Value v) {
         o.world->options.retain_available = truth(v); }},
    {"sys_interval", false, [](const SimOptions &o, Value v) {
         o.world->options.sys_interval_s = as<uint32_t>(v); }},
    {"upgrade_outgoing_qos", false, [](const SimOptions &o, Value v) {
         o.world->options.upgrade_outgoing_qos = truth(v); }},
    {"accept_protocol_versions", true, accept_versions},
    {"max_connections", true, [](const SimOptions &o, Value v) {
         o.listener->max_connections = number(v); }},
    {"max_qos", true, [](const SimOptions &o, Value v) {
         o.policy->max_qos = as<uint8_t>(v); }},
    {"max_topic_alias", true, [](const SimOptions &o, Value v) {
         o.policy->max_topic_alias = as<uint16_t>(v); }},
    {"max_topic_alias_broker", true, [](const SimOptions &o, Value v) {
         o.policy->max_topic_alias_broker = as<uint16_t>(v); }},
    {"mount_point", true, [](const SimOptions &o, Value v) {
         snprintf(o.policy->mount_point, sizeof o.policy->mount_point, "%s", v.c_str()); }},
    {"use_username_as_clientid", true, [](const SimOptions &o, Value v) {
         o.policy->use_username_as_clientid = truth(v); }},
    {"websockets_origin", true, [](const SimOptions &o, Value v) {
         vec_push(&o.listener->websockets_origins, lasting(v)); }},
};

const Row *find(const std::string &name) {
    auto it = std::find_if(std::begin(ROWS), std::end(ROWS),
                           [&](const Row &r) { return name == r.name; });
    return it == std::end(ROWS) ? nullptr : it;
}

} // namespace

bool option_known(const std::string &name) { return find(name) != nullptr; }

void option_apply(const SimOptions &o, const std::string &name, const std::string &value) {
    find(name)->apply(o, value);
}

std::string options_text(const std::vector<std::pair<std::string, std::string>> &options,
                         int port, int web_port) {
    std::string global, local, web;
    for (const auto &[name, value] : options) {
        bool for_web = name.starts_with("websockets");
        (for_web ? web : find(name)->listener ? local : global) += name + " " + value + "\n";
    }
    auto listener = [&](int p, const char *protocol) {
        return "\nlistener " + std::to_string(p) + " 127.0.0.1\nprotocol " + protocol + "\n" + local;
    };
    return global + listener(port, "mqtt") + listener(web_port, "websockets") + web;
}

} // namespace seq
