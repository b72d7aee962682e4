#include "runtime/tokenizer/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::tokenizer {
namespace {

TEST(JsonReader, ReadsStrings) {
  const auto read = [](std::string_view text) {
    std::string value;
    return JsonReader(text).read_string(value) ? value : "refused";
  };
  EXPECT_EQ(read(R"( "a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é")"), "a\"\\/\b\f\n\r\té😀é");
  for (const char* bad :
       {"", "a", "\"", "\"\\", R"("\x")", R"("\u12")", R"("\ud800")", R"("\udc00")",
        R"("\ud800\u0041")", "\"\n\"", "\"\xff\"", R"("\u+123")"}) {
    EXPECT_EQ(read(bad), "refused") << bad;
  }
}

TEST(JsonReader, ReadsNumbersToTheLastBit) {
  double value = 0;
  EXPECT_TRUE(JsonReader("-10.123456789012345").read_double(value));
  EXPECT_EQ(value, -10.123456789012345);
  for (const char* bad : {"inf", "-inf", "nan", "-nan", "x", "", "1e999"}) {
    EXPECT_FALSE(JsonReader(bad).read_double(value)) << bad;
  }
  std::int64_t number = 0;
  EXPECT_FALSE(JsonReader("99999999999999999999").read_integer(number));
}

TEST(CutTables, TakesOutTheModelsTables) {
  const std::string text =
      R"({"a":{"vocab":1},"model":{"vocab":{"}":0}, "type":"BPE","merges":["[ ]"]}})";
  const JsonTables tables = cut_tables(text);
  EXPECT_EQ(tables.vocab, R"({"}":0})");
  EXPECT_EQ(tables.merges, R"(["[ ]"])");
  EXPECT_EQ(tables.rest, R"({"a":{"vocab":1},"model":{"vocab":null, "type":"BPE","merges":null}})");
}

TEST(CutTables, LeavesBrokenTextToTheParser) {
  for (const char* text :
       {"", "{", "[]", R"({"model":{"vocab":{)", R"({"model":{"vocab":]}})", "{} x"}) {
    const JsonTables tables = cut_tables(text);
    EXPECT_EQ(tables.rest, text);
    EXPECT_EQ(tables.vocab, "");
  }
}

}  // namespace
}  // namespace bundle::tokenizer
