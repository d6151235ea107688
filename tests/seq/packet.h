// seq/packet.h -- packets as a tester sees them.
//
// Written from the standard's tables and not from src/mqtt, so that both can be
// wrong in different places only. `version` is 3 (MQTT 3.1), 4 (3.1.1) or 5.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>

namespace seq {
enum class PropKind : uint8_t { One, Two, Four, Varint, String, Binary, Pair };

struct PropInfo {
    uint8_t id;
    const char *name;       // as the notation has it
    PropKind kind;
    bool repeats;           // may come twice in what a server sends
    uint16_t from_server;   // bit n: allowed in packet type n from a server
};

const PropInfo *prop_by_name(std::string_view name); // null: none
const PropInfo *prop_by_id(uint8_t id);

void put_u16(std::string *, uint32_t v);
void put_u32(std::string *, uint32_t v);
void put_varint(std::string *, uint32_t v);
void put_string(std::string *, std::string_view v); // with its two-byte length

// The size of the packet at the front of `in`, 0 while that cannot be told or
// the packet is not complete, -1 if the remaining length is impossible.
long packet_size(std::string_view in);

// One line for people: "PUBLISH q1 id 5 \"t\" {...} \"payload\"", or hex.
std::string packet_text(int version, std::string_view packet);
std::string hex_text(std::string_view bytes, size_t most = 80);

// What is wrong with a packet that a server sent; empty: nothing. Checks the
// form whole: flags, lengths, strings, reason codes, properties.
std::string packet_fault(int version, std::string_view packet);

} // namespace seq
