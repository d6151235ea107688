// seq/options.h -- the options that cases use, by their names in knut.conf.
#pragma once

#include <string>
#include <utility>
#include <vector>

struct World;
struct ListenerPolicy;
struct ListenerOptions;

namespace seq {

bool option_known(const std::string &name);

// In the simulator: into the structs. Before World::start().
struct SimOptions {
    World *world;
    ListenerPolicy *policy;     // of both listeners
    ListenerOptions *listener;
};
void option_apply(const SimOptions &, const std::string &name, const std::string &value);

// For the real broker: a configuration with a plain and a WebSocket listener.
std::string options_text(const std::vector<std::pair<std::string, std::string>> &options,
                         int port, int web_port);

} // namespace seq
