#include "runtime/chat/unicode.h"

#include <gtest/gtest.h>

#include "runtime/chat/text_search.h"

namespace bundle::chat {
namespace {

TEST(Unicode, MapsCaseFully) {
  EXPECT_EQ(to_upper("straße ﬁ ŉ ᾳ"), "STRASSE FI ʼN ΑΙ");
  EXPECT_EQ(to_lower("ΑΣ ΣΑ Σ İ"), "ας σα σ i̇");
  EXPECT_EQ(to_title("hello ǆ they're"), "Hello ǅ They'Re");
  EXPECT_EQ(capitalize("éCOLE"), "École");
  EXPECT_EQ(swap_case("aBß"), "AbSS");
  EXPECT_EQ(case_fold("Straße"), "strasse");
}

TEST(Unicode, StripsPythonsWhiteSpace) {
  EXPECT_EQ(strip("\u00a0\x1c a\u2003"), "a");
  EXPECT_EQ(strip(" a ", true, false), "a ");
  EXPECT_EQ(strip_chars("éxéaé", "éx", true, true), "a");
  EXPECT_EQ(strip("\u200b"), "\u200b");
}

TEST(Unicode, SplitsLinesAndWords) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split_lines("a\r\nb\rc\n\nd\u2028e"), (Parts{"a", "b", "c", "", "d", "e"}));
  EXPECT_EQ(split_lines("a\n", true), (Parts{"a\n"}));
  EXPECT_EQ(split_words("  a\u00a0b  "), (Parts{"a", "b"}));
}

TEST(TextSearch, SplitsFromBothEnds) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split_text("a--b--c", "--", 1), (Parts{"a", "b--c"}));
  EXPECT_EQ(split_text_right("a--b--c", "--", 1), (Parts{"a--b", "c"}));
  EXPECT_EQ(split_text_right("aaa", "aa", kNotFound), (Parts{"a", ""}));
  EXPECT_EQ(split_space(" a  b  c ", 1), (Parts{"a", "b  c "}));
  EXPECT_EQ(split_space_right(" a  b  c ", 1), (Parts{" a  b", "c"}));
}

TEST(TextSearch, ReplacesAndCounts) {
  EXPECT_EQ(replace_text("aXbX", "X", "--", 1), "a--bX");
  EXPECT_EQ(replace_text("aé", "", "."), ".a.é.");
  EXPECT_EQ(replaced_size("aXbX", "X", "--", kNotFound), 6u);
  EXPECT_EQ(count_text("aaaa", "aa"), 2u);
  EXPECT_EQ(find_last_text("abab", "ab"), 2u);
  EXPECT_EQ(find_text("ab", "ab", 3), kNotFound);
}

}  // namespace
}  // namespace bundle::chat
