#include "base/bytes.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

static std::vector<std::string> cut_all(Bytes v, char separator) {
    std::vector<std::string> pieces;
    while (v.data()) pieces.emplace_back(cut(&v, separator));
    return pieces;
}

TEST_CASE("a slice never reaches beyond its bytes") {
    Bytes v = "midge";
    CHECK(slice(v, 0) == "midge");
    CHECK(slice(v, 2) == "dge");
    CHECK(slice(v, 5).empty());
    CHECK(slice(v, 99).empty());
    CHECK(slice(v, 1, 2) == "id");
    CHECK(slice(v, 3, 99) == "ge");
    CHECK(slice(v, 9, 1).empty());
    CHECK(slice(Bytes(), 0, 1).empty());
}

TEST_CASE("a prefix may be empty, whole, or too long") {
    CHECK(starts_with("midge", "mi"));
    CHECK(starts_with("midge", "midge"));
    CHECK(starts_with("midge", Bytes()));
    CHECK(starts_with(Bytes(), Bytes()));
    CHECK_FALSE(starts_with("midge", "midges"));
    CHECK_FALSE(starts_with("midge", "id"));
}

TEST_CASE("case is ignored for ASCII letters only") {
    CHECK(equal_nocase("Upgrade", "uPGRADE"));
    CHECK_FALSE(equal_nocase("Upgrade", "Upgrades"));
    CHECK_FALSE(equal_nocase("@", "`"));
    CHECK_FALSE(equal_nocase("[", "{"));
    CHECK_FALSE(equal_nocase("\xc3\x84", "\xc3\xa4"));
}

TEST_CASE("trimming takes blanks, tabs and CR off both ends") {
    CHECK(trim("  a b\t\r") == "a b");
    CHECK(trim("\t \r").empty());
    CHECK(trim(Bytes()).empty());
    CHECK(trim("x") == "x");
}

TEST_CASE("cutting yields every piece, empty ones too") {
    using Pieces = std::vector<std::string>;
    CHECK(cut_all("a/b/c", '/') == Pieces{"a", "b", "c"});
    CHECK(cut_all("/a//", '/') == Pieces{"", "a", "", ""});
    CHECK(cut_all("", '/') == Pieces{""});
    CHECK(cut_all("abc", '/') == Pieces{"abc"});
    CHECK(cut_all(Bytes(), '/') == Pieces{});
}

TEST_CASE("numbers are decimal, whole and within 64 bits") {
    int64_t n = 77;
    CHECK(parse_int("0", &n));
    CHECK(n == 0);
    CHECK(parse_int("-0", &n));
    CHECK(n == 0);
    CHECK(parse_int("0042", &n));
    CHECK(n == 42);
    CHECK(parse_int("9223372036854775807", &n));
    CHECK(n == INT64_MAX);
    CHECK(parse_int("-9223372036854775808", &n));
    CHECK(n == INT64_MIN);
}

TEST_CASE("what is not a number leaves the result alone") {
    int64_t n = 77;
    for (Bytes bad : {"", "-", "--1", "+1", " 1", "1 ", "1x", "0x1", "1.0",
                      "9223372036854775808", "-9223372036854775809",
                      "92233720368547758070", "99999999999999999999999"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_int(bad, &n));
    }
    CHECK(n == 77);
}
