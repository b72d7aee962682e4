#include "cloud/merged_log.h"

#include <chrono>
#include <gtest/gtest.h>

namespace bundle::cloud {
namespace {

using std::chrono::milliseconds;

TEST(NamedLines, KeepsWhatHasNoEnd) {
  std::string rest;
  EXPECT_EQ(named_lines("a", "one\ntw", rest), "a | one\n");
  EXPECT_EQ(named_lines("a", "o\n\nthree\n", rest), "a | two\na | \na | three\n");
  EXPECT_EQ(named_lines("a", "", rest), "");
  EXPECT_EQ(rest, "");
}

TEST(NamedLines, CutsLinesWithoutEnd) {
  std::string rest;
  const std::string lines = named_lines("a", std::string(100'000, 'x'), rest);
  EXPECT_EQ(lines.size(), 100'000u + 5);
  EXPECT_EQ(rest, "");
}

/// Says a line, then polls until it is told to end.
Status endless(const LogSink& into, const std::string& line) {
  if (!into(line)) return {};
  while (into("")) std::this_thread::sleep_for(milliseconds(1));
  return {};
}

TEST(MergedLog, FollowsAllUntilTheSinkHasEnough) {
  std::string text;
  const LogSink sink = [&](std::string_view piece) {
    text += piece;
    return text.find("h1 |") == std::string::npos || text.find("h2 |") == std::string::npos;
  };
  {
    MergedLog log(sink);
    log.add("h1", [](const LogSink& into) { return endless(into, "one\n"); });
    log.add("h2", [](const LogSink& into) { return endless(into, "two\n"); });
    EXPECT_TRUE(log.has("h1"));
    EXPECT_FALSE(log.has("h3"));
    log.wait();
    EXPECT_FALSE(log.wanted());
  }
  EXPECT_NE(text.find("h1 | one\n"), std::string::npos) << text;
  EXPECT_NE(text.find("h2 | two\n"), std::string::npos) << text;
}

TEST(MergedLog, ASourceThatIsLostDoesNotEndTheOthers) {
  std::string text;
  const LogSink sink = [&](std::string_view piece) {
    text += piece;
    return text.find("three") == std::string::npos;
  };
  MergedLog log(sink);
  log.add("h1", [](const LogSink& into) -> Status {
    into("cut of");
    return failed("the host went away");
  });
  log.add("h2", [](const LogSink& into) {
    for (int i = 0; i < 50; ++i) {
      std::this_thread::sleep_for(milliseconds(2));
      if (!into("")) return Status();
    }
    return endless(into, "three\n");
  });
  log.wait();
  EXPECT_NE(text.find("h1 | cut of\nh1 | (its log ended: the host went away)\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("h2 | three\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace bundle::cloud
