#include "base/text.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(Nearest, FindsASlipAndNothingElse) {
  const std::vector<std::string> keys = {"name", "model", "runtime", "scaling"};
  EXPECT_EQ(nearest("runtme", keys), "runtime");
  EXPECT_EQ(nearest("modle", keys), "model");
  EXPECT_EQ(nearest("zebra", keys), "");
}

TEST(HumanBytes, UsesDecimalUnits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(98362432), "98.4 MB");
  EXPECT_EQ(human_bytes(688574839360), "689 GB");
}

TEST(Utf8, HoldsBackACutCharacterOnly) {
  EXPECT_EQ(complete_utf8_prefix("a\xE2\x82"), 1u);
  EXPECT_EQ(complete_utf8_prefix("a\xE2\x82\xAC"), 4u);
  EXPECT_EQ(complete_utf8_prefix("\xF0\x9F\x99"), 0u);
  EXPECT_EQ(complete_utf8_prefix("a\xFF"), 2u);
  EXPECT_EQ(complete_utf8_prefix("a\x80\x80"), 3u);
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
}

TEST(Utf8, ReplacesMaximalSubpartsAsPythonDoes) {
  EXPECT_EQ(replace_invalid_utf8("a\xE2\x82z"), "a\uFFFDz");
  EXPECT_EQ(replace_invalid_utf8("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F"), "\uFFFD");
  EXPECT_TRUE(is_valid_utf8("日本語 🙂"));
  EXPECT_FALSE(is_valid_utf8("\xF8"));
}

TEST(Text, ControlsAreShown) {
  EXPECT_EQ(show_controls("a\tb\nc é 🦄"), "a\tb\nc é 🦄");
  EXPECT_EQ(show_controls("\x1b]0;x\x07\x7f\r"), "\\x1b]0;x\\x07\\x7f\\x0d");
  EXPECT_EQ(show_controls("\xc2\x9b"
                          "31m"),
            "\\x9b31m");
  EXPECT_EQ(show_controls(std::string_view("\0", 1)), "\\x00");
}

}  // namespace
}  // namespace bundle
