// The test runner's main: compiled once, since doctest's implementation is the
// slow part.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
