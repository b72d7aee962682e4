#include <limits>

#include "runtime/format/gguf.h"
#include "tests/format/refusal.h"

namespace bundle::format {
namespace {

GgufMetadata sample() {
  return GgufMetadata({{"unsigned", std::uint64_t{7}},
                       {"signed", std::int64_t{-7}},
                       {"huge", std::numeric_limits<std::uint64_t>::max()},
                       {"real", 0.25},
                       {"flag", true},
                       {"text", std::string("hi")},
                       {"ints", std::vector<std::int64_t>{-1, 2}},
                       {"uints", std::vector<std::uint64_t>{1, 2}},
                       {"hugeints", std::vector<std::uint64_t>{~std::uint64_t{0}}},
                       {"reals", std::vector<double>{0.5}},
                       {"texts", std::vector<std::string>{"a", "b"}}});
}

TEST(GgufMetadata, ConvertsIntegersOfEitherSign) {
  const GgufMetadata meta = sample();
  EXPECT_EQ(*meta.get_int("unsigned"), 7);
  EXPECT_EQ(*meta.get_int("signed"), -7);
  EXPECT_EQ(*meta.get_int_or("absent", 5), 5);
  expect_refused(meta.get_int("huge"), "'huge'");
  expect_refused(meta.get_int("real"), "'real' is not a whole number");
  expect_refused(meta.get_int("absent"), "'absent' is missing");
  expect_refused(meta.get_int_or("text", 5), "'text'");
}

TEST(GgufMetadata, LooksUpTheOtherTypes) {
  const GgufMetadata meta = sample();
  EXPECT_EQ(*meta.get_double_or("real", 1), 0.25);
  EXPECT_EQ(*meta.get_double_or("signed", 1), -7.0);
  EXPECT_EQ(*meta.get_double_or("absent", 1), 1.0);
  expect_refused(meta.get_double_or("flag", 1), "not a number");
  EXPECT_TRUE(*meta.get_bool_or("flag", false));
  EXPECT_TRUE(*meta.get_bool_or("absent", true));
  expect_refused(meta.get_bool_or("unsigned", true), "true or false");
  EXPECT_EQ(*meta.get_string("text"), "hi");
  EXPECT_EQ(*meta.get_string_or("absent", "x"), "x");
  expect_refused(meta.get_string("flag"), "not a string");
  expect_refused(meta.get_string("absent"), "missing");
  ASSERT_NE(meta.find_strings("texts"), nullptr);
  EXPECT_EQ(meta.find_strings("texts")->size(), 2u);
  EXPECT_EQ(meta.find_strings("text"), nullptr);
  EXPECT_EQ(meta.find_strings("absent"), nullptr);
}

TEST(GgufMetadata, ConvertsArrays) {
  const GgufMetadata meta = sample();
  EXPECT_EQ(*meta.get_ints("ints"), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(*meta.get_ints("uints"), (std::vector<std::int64_t>{1, 2}));
  expect_refused(meta.get_ints("hugeints"), "below 2^63");
  expect_refused(meta.get_ints("reals"), "whole numbers");
  expect_refused(meta.get_ints("absent"), "missing");
  EXPECT_EQ(*meta.get_doubles("reals"), (std::vector<double>{0.5}));
  EXPECT_EQ(*meta.get_doubles("uints"), (std::vector<double>{1, 2}));
  expect_refused(meta.get_doubles("texts"), "array of numbers");
  expect_refused(meta.get_doubles("absent"), "missing");
}

}  // namespace
}  // namespace bundle::format
