// seq/backend.h -- where a case is played: in a World, or with a real broker.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "seq/script.h"

namespace seq {
// Channels are numbers from open(); what arrives collects in inbox().
struct Backend {
    virtual ~Backend() = default;
    // -1: the broker refused it before a byte was exchanged.
    virtual int open(bool web) = 0;
    virtual void send(int channel, std::string_view bytes) = 0;
    virtual void finish(int channel) = 0; // end of stream
    virtual void reset(int channel) = 0;
    virtual void stop(int channel) = 0;
    virtual void resume(int channel) = 0;
    virtual std::string &inbox(int channel) = 0;
    virtual bool ended(int channel) = 0;  // the broker has ended it, inbox is complete
    // Waits until something more may have come; false once it is of no use.
    virtual bool more() = 0;
    virtual void pass(unsigned long ms) = 0;
    virtual void shutdown() = 0;          // of the broker
    // False in a World: there is no other "later" than pass().
    virtual bool real() const = 0;
    virtual std::string host() const = 0; // for the Host header
    // Ends the broker. What was wrong with it, or nothing.
    virtual std::string end() = 0;
};

std::unique_ptr<Backend> sim_backend(const Case &);

struct BinaryOptions {
    std::string path;              // of the broker
    std::string extra;             // configuration lines for every case
    unsigned long timeout_ms = 4000;
};
std::unique_ptr<Backend> binary_backend(const Case &, const BinaryOptions &);

} // namespace seq
