// Text: what the mqtt room accepts.
#include "mqtt_util.h"

using namespace mqtt_test;

namespace {

// At every place in a word, alone and among ASCII.
void check_everywhere(const std::string &c, bool good) {
    for (size_t before = 0; before < 18; before++)
        for (size_t behind = 0; behind < 10; behind++) {
            Exact text(std::string(before, 'a') + c + std::string(behind, 'z'));
            CAPTURE(to_hex(text.bytes));
            CHECK(utf8_valid(text.bytes) == good);
        }
}

std::string encode(uint32_t c) {
    auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    auto lead = [](uint32_t v) { return static_cast<char>(v); };
    if (c < 0x80) return {lead(c)};
    if (c < 0x800) return {lead(0xC0 | c >> 6), tail(0)};
    if (c < 0x10000) return {lead(0xE0 | c >> 12), tail(6), tail(0)};
    return {lead(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

bool wanted(uint32_t c) {
    if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return false;
    if (c >= 0xD800 && c < 0xE000) return false;
    if (c >= 0xFDD0 && c < 0xFDF0) return false;
    return (c & 0xFFFF) < 0xFFFE;
}

} // namespace

TEST_CASE("[MQTT-1.5.4-1, -2] ill-formed text, surrogates and U+0000 are refused") {
    for (const char *bad : {"C0 80", "C1 BF", "E0 80 80", "ED A0 80", "ED BF BF", "F0 80 80 80",
                            "F4 90 80 80", "F5 80 80 80", "80", "C2", "E2 82", "00", "FF", "FE",
                            "F0 9F 98", "E2 28 A1", "F0 28 8C BC", "C2 41", "E0 9F BF",
                            "F0 8F BF BF", "BF"})
        check_everywhere(hex(bad), false);
}

TEST_CASE("[MQTT-1.5.4-3] good text is accepted, a byte order mark included") {
    for (const char *good : {"EF BB BF 61", "F0 AA 9B 94", "ED 9F BF", "EE 80 80", "F4 8F BF BD",
                             "C2 A0", "20", "7E", "E2 82 AC"})
        check_everywhere(hex(good), true);
    CHECK(utf8_valid({}));
}

TEST_CASE("control characters and non-characters are refused, as Mosquitto does") {
    for (const char *bad : {"01", "1F", "0A", "7F", "C2 80", "C2 9F", "EF B7 90", "EF B7 AF",
                            "EF BF BE", "EF BF BF", "F0 9F BF BE", "F4 8F BF BF"})
        check_everywhere(hex(bad), false);
}

TEST_CASE("every code point is judged alone and behind a word") {
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        std::string one = encode(c);
        if (utf8_valid(one) != wanted(c) || utf8_valid("abcdefgh" + one) != wanted(c)) {
            CAPTURE(c);
            REQUIRE(false);
        }
    }
    CHECK(!utf8_valid(encode(0x110000)));
}
