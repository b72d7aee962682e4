#include "runtime/tokenizer/regex.h"

#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> matches(std::string_view pattern, std::string_view text,
                                 RegexFlavor flavor = RegexFlavor::kOniguruma) {
  auto regex = Regex::compile(pattern, flavor);
  if (regex.has_error()) return {"error: " + regex.error().message()};
  RegexScanner scanner(*regex);
  scanner.reset(text);
  std::vector<std::string> found;
  while (const auto match = scanner.next()) {
    found.emplace_back(text.substr(match->begin, match->end - match->begin));
  }
  return found;
}

TEST(Regex, TakesTheFirstAlternativeThatMatches) {
  EXPECT_THAT(matches("a|ab|b", "ab"), ElementsAre("a", "b"));
  EXPECT_THAT(matches("(?:a|ab)(?:c|bcd)", "abcd"), ElementsAre("abcd"));
}

TEST(Regex, GoesBackInGreedyAndLazyLoops) {
  EXPECT_THAT(matches("a+ab", "aaab"), ElementsAre("aaab"));
  EXPECT_THAT(matches("a+?", "aaa"), ElementsAre("a", "a", "a"));
  EXPECT_THAT(matches("<.*?>", "<a><b>"), ElementsAre("<a>", "<b>"));
  EXPECT_THAT(matches("(?:ab){2,3}", "ababababab"), ElementsAre("ababab", "abab"));
}

TEST(Regex, KeepsWhatAPossessiveLoopTook) {
  EXPECT_THAT(matches("a++ab", "aaab"), IsEmpty());
  EXPECT_THAT(matches("(?>a+)b", "aab"), ElementsAre("aab"));
}

TEST(Regex, LooksAheadAndBehind) {
  EXPECT_THAT(matches(R"(\s+(?!\S)|\s+)", "a   b"), ElementsAre("  ", " "));
  EXPECT_THAT(matches("(?<=x)y", "y xy"), ElementsAre("y"));
  EXPECT_THAT(matches("(?<!a|bc)e", "ae bce xe"), ElementsAre("e"));
}

TEST(Regex, KnowsUnicodeProperties) {
  EXPECT_THAT(matches(R"(\p{L}+)", "né漢字1"), ElementsAre("né漢字"));
  EXPECT_THAT(matches(R"(\p{Han}+)", "a漢字か"), ElementsAre("漢字"));
  EXPECT_THAT(matches(R"([\p{L}&&[^\p{Han}]]+)", "a漢b"), ElementsAre("a", "b"));
  EXPECT_THAT(matches(R"([^\P{Lu}A])", "AÀB"), ElementsAre("À", "B"));
  // Assigned in Unicode 16, which the libraries of older distributions do not know.
  EXPECT_THAT(matches(R"(\p{L})", "\U00010D50"), ElementsAre("\U00010D50"));
}

TEST(Regex, IgnoresCaseBeyondAscii) {
  EXPECT_THAT(matches("(?i:'s)", "'S 'ſ"), ElementsAre("'S", "'ſ"));
  EXPECT_THAT(matches("(?i)k", "K\u212a"), ElementsAre("K", "\u212a"));
  EXPECT_THAT(matches("(?i:a)b", "Ab AB"), ElementsAre("Ab"));
}

TEST(Regex, FlavorsDifferWhereTheEnginesDo) {
  EXPECT_THAT(matches("a$", "a\na"), ElementsAre("a", "a"));
  EXPECT_THAT(matches("a$", "a\na", RegexFlavor::kRust), ElementsAre("a"));
  EXPECT_THAT(matches(R"(\w)", "²\u200d"), ElementsAre("²"));
  EXPECT_THAT(matches(R"(\w)", "²\u200d", RegexFlavor::kRust), ElementsAre("\u200d"));
}

TEST(Regex, FindsEmptyMatchesOnceEach) {
  EXPECT_THAT(matches("x*", "ab"), ElementsAre("", "", ""));
  EXPECT_THAT(matches(R"((?=\d{3}))", "12345"), ElementsAre("", "", ""));
  EXPECT_THAT(matches("(?:a*)*b", "aab"), ElementsAre("aab"));
}

TEST(Regex, RefusesWhatItCanNotDo) {
  for (const char* pattern :
       {"(", ")", "[", "[a", "a{3,2}", "*", "(?<=a+)b", R"(\1)", R"(\X)", "[z-a]", R"(\p{Klingon})",
        R"(\p{L)", "(?P=x)", "a\\", "(?x)a", R"(\x{110000})", "a{2000}", "\xff"}) {
    EXPECT_TRUE(Regex::compile(pattern).has_error()) << pattern;
  }
  EXPECT_TRUE(Regex::compile(std::string(100, '(') + std::string(100, ')')).has_error());
  EXPECT_TRUE(Regex::compile("(((a{900}b){900}){900}){900}").has_error());
}

TEST(Regex, EndsOnHostilePatterns) {
  const auto start = std::chrono::steady_clock::now();
  matches("(a*)*c", std::string(40, 'a') + "b");
  matches("(a|a)*c", std::string(200, 'a'));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 30.0);
}

TEST(Regex, LongRunsTakeLinearTime) {
  const std::string long_run(2'000'000, 'a');
  EXPECT_EQ(matches(R"([^\r\n\p{L}\p{N}]?\p{L}+|\s+(?!\S)|\s+)", long_run).size(), 1u);
  EXPECT_EQ(matches(R"(\s+(?!\S)|\s+)", std::string(2'000'000, ' ') + "x").size(), 2u);
}

}  // namespace
}  // namespace bundle::tokenizer
