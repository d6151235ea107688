// Reads configurations from text: each Folder is a directory of its own that
// goes away with it.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config/config.h"

struct Folder {
    std::filesystem::path path;
    std::string file_name;

    Folder() {
        std::string pattern = std::filesystem::temp_directory_path() / "knut-config-XXXXXX";
        path = mkdtemp(pattern.data());
    }
    Folder(const Folder &) = delete;
    ~Folder() { std::filesystem::remove_all(path); }

    std::string write(const std::string &name, const std::string &text) const {
        std::filesystem::path file = path / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return file.string();
    }
};

// What came of reading. The configuration lives as long as this.
struct Outcome {
    Config config;
    ConfigError error;
    bool is_good = false;

    explicit Outcome(const ConfigArguments &a) { is_good = config_read(a, &config, &error); }
    Outcome(const Outcome &) = delete;
    ~Outcome() { config_free(&config); }

    // The first line of the message; the place is the second.
    std::string message() const {
        std::string text = error.text;
        return text.substr(0, text.find('\n'));
    }
    std::string place() const {
        std::string text = error.text;
        size_t end = text.find('\n');
        return end == std::string::npos ? "" : text.substr(end + 1);
    }
    const ConfigListener &listener(uint32_t i) const { return *config.listeners[i]; }
    bool has_note(const std::string &part) const {
        for (const ConfigNote &n : config.notes)
            if (std::string(n.text).find(part) != std::string::npos) return true;
        return false;
    }
};

// A configuration file of this text, in a folder of its own, and what came of it.
struct Text : Folder, Outcome {
    explicit Text(const std::string &text, ConfigArguments a = {})
        : Outcome(with_file(a, write("knut.conf", text))) {}

    std::string file() const { return (path / "knut.conf").string(); }

  private:
    ConfigArguments with_file(ConfigArguments a, const std::string &name) {
        file_name = name; // of Folder: made before Outcome
        a.file = file_name.c_str();
        return a;
    }
};
