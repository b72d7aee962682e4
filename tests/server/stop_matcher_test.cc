#include "runtime/server/stop_matcher.h"

#include <gtest/gtest.h>

namespace bundle::server {
namespace {

/// The text that comes out when `text` goes in `step` bytes at a time.
std::string run(const std::vector<std::string>& stops, bool include, std::string_view text,
                std::size_t step, std::string* matched = nullptr) {
  StopMatcher matcher(stops, include);
  std::string out;
  for (std::size_t at = 0; at < text.size() && !matcher.stopped(); at += step) {
    out += matcher.push(text.substr(at, step));
  }
  out += matcher.finish();
  if (matched != nullptr) *matched = matcher.matched();
  return out;
}

TEST(StopMatcher, FindsAStopAcrossAnyPieces) {
  for (const std::size_t step : {1, 2, 3, 5, 100}) {
    std::string matched;
    EXPECT_EQ(run({"STOP", "\n\n"}, false, "one two STOP three", step, &matched), "one two ");
    EXPECT_EQ(matched, "STOP");
    EXPECT_EQ(run({"STOP"}, true, "one two STOP three", step), "one two STOP");
    EXPECT_EQ(run({"STOP"}, false, "one STO two ST", step), "one STO two ST");
  }
}

TEST(StopMatcher, ResultDoesNotDependOnThePieces) {
  const std::vector<std::string> stops = {"aab", "ab", "bb", "cc"};
  const std::string texts[] = {"xaab", "aaab", "abab", "xbb", "ccab", "caacab", "xyz", "aa"};
  for (const std::string& text : texts) {
    const std::string whole = run(stops, false, text, 100);
    for (const std::size_t step : {1, 2, 3}) EXPECT_EQ(run(stops, false, text, step), whole);
  }
  EXPECT_EQ(run(stops, false, "xaab", 1), "x");  // of two that end together, the longer
}

TEST(StopMatcher, LetsOutWhatCanNoLongerBeAStop) {
  StopMatcher matcher({"abc"}, false);
  EXPECT_EQ(matcher.push("xa"), "x");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_EQ(matcher.push("a"), "ab");
  EXPECT_EQ(matcher.push("bd"), "abd");
  EXPECT_EQ(matcher.push("ab"), "");
  EXPECT_EQ(matcher.finish(), "ab");
}

TEST(StopMatcher, RepeatedBeginningsAreKept) {
  StopMatcher matcher({"aaab"}, false);
  EXPECT_EQ(matcher.push("aaaa"), "a");
  EXPECT_EQ(matcher.push("a"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, SkippedTextIsNoPartOfAStop) {
  StopMatcher matcher({"ab"}, false);
  EXPECT_EQ(matcher.skip("ab a"), "ab a");
  EXPECT_EQ(matcher.push("b"), "b");
  EXPECT_EQ(matcher.push("ab"), "");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
  StopMatcher matcher({}, false);
  EXPECT_EQ(matcher.push("anything"), "anything");
  EXPECT_EQ(matcher.finish(), "");
}

}  // namespace
}  // namespace bundle::server
