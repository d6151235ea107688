// seq/script.h -- .seq files, read into cases and steps.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "seq/pattern.h"

namespace seq {
enum class Verb {
    Open,     // a connection, nothing sent yet
    Send,
    Accepted, // CONNACK with success, whatever its properties
    Expect,   // one packet, one of `patterns`
    Ends,     // 5.0: DISCONNECT with one of `codes`; then closed
    Refuses,  // CONNACK with one of `codes` and no properties; then closed
    Closed,   // by the broker, without another packet
    Nothing,  // no packet came, and none is under way
    Silence,  // no packet came; nobody is asked (no PINGREQ that keeps alive)
    Http,     // an HTTP answer
    Frame,    // a WebSocket control frame
    Drop,     // close without DISCONNECT
    Reset,    // the network fails
    Stop,     // read no more ...
    Resume,   // ... and again
    Wait,
    Shutdown, // of the broker
    Sync,     // the broker has worked off what was sent
    Clear,    // between the rows of `for`: all is quiet; drop every connection
};

struct Step {
    int line = 0;
    Verb verb = Verb::Nothing;
    std::string conn;               // empty: all
    std::string text;               // as it stands in the file, $names filled in
    std::string row;                // of `for`; empty: none
    int version = 5;                // of what comes in
    std::vector<Pattern> patterns;  // alternatives
    bool any_order = false;
    std::vector<unsigned> codes;    // Ends, Refuses, Http, Closed (WebSocket), Frame
    bool silent_too = false;        // Ends, Refuses: a plain close will do
    bool present = false;           // Accepted: session present
    bool opens = false;             // Send: the connection, if it is not there
    unsigned long ms = 0;           // Wait
    std::string kind;               // Open: "", tcp, web, ws
    std::string path = "/mqtt", protocol = "mqtt"; // Open ws
    bool mute = false;              // Open: answers no Close
    std::vector<std::string> headers; // Http: lines that must be there
    bool exact = false;             // Http: these and no others, in this order
};

struct Case {
    std::string file, title;
    std::string standard;                // of the identifiers: "5.0" or "3.1.1"
    int line = 0;
    std::vector<std::string> ids;
    std::vector<std::pair<std::string, std::string>> options;
    std::vector<Step> steps;
    bool only_sim = false, only_binary = false, only_plain = false, only_web = false;
    bool only_whole = false;             // cutting it would take away what it shows
    bool one_transport = false;          // chooses its transports itself
    unsigned long wait_ms = 0;
};

// Appends the cases of a file. Throws NotationError with file and line.
void read_script(const std::string &path, std::vector<Case> *out);

} // namespace seq
