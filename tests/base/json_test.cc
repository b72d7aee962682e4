#include "base/json.h"

#include <gtest/gtest.h>
#include <limits>

namespace bundle {
namespace {

TEST(Json, PrintsWhatItParsed) {
  const auto value = parse_json(R"({"a":[1,-2,3.5,true,null,"é\u00e9"]})", "t");
  ASSERT_TRUE(value);
  EXPECT_EQ(print_json(*value), R"({"a":[1,-2,3.5,true,null,"éé"]})");
}

TEST(Json, PrintsDoublesAsPythonDoes) {
  EXPECT_EQ(print_json(JsonArray{1.0, 0.1, 579.89, 1e-7, 1e22, -0.0}),
            "[1.0,0.1,579.89,1e-07,1e+22,-0.0]");
  EXPECT_EQ(print_json(JsonArray{std::numeric_limits<double>::infinity()}), "[null]");
}

TEST(Json, RefusesADuplicateKeyByName) {
  const auto value = parse_json("{\"a\":{\"key\":1,\n\"key\":2}}", "file.json");
  ASSERT_TRUE(value.has_error());
  EXPECT_NE(value.error().what.find("'key'"), std::string::npos);
  EXPECT_NE(value.error().where.find("file.json line 2"), std::string::npos);
  EXPECT_TRUE(parse_json(R"({"a":{"k":1},"b":{"k":2}})", "t"));
}

TEST(Json, RefusesDepthTrailingTextAndBadUtf8) {
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']'), "t"));
  EXPECT_TRUE(parse_json(std::string(66, '[') + std::string(66, ']'), "t").has_error());
  EXPECT_TRUE(parse_json("{} x", "t").has_error());
  EXPECT_TRUE(parse_json("", "t").has_error());
  EXPECT_TRUE(parse_json("{", "t").has_error());
  EXPECT_TRUE(parse_json("\"\xff\"", "t").has_error());
}

TEST(Json, TypedLookupsNameTheKey) {
  const Json value = *parse_json(R"({"n":3,"d":2.0,"s":"x","b":true,"z":null})", "t");
  EXPECT_EQ(*get_int(value, "n", "t"), 3);
  EXPECT_EQ(*get_int(value, "d", "t"), 2);
  EXPECT_EQ(*get_int_or(value, "z", 7, "t"), 7);
  EXPECT_EQ(*get_string(value, "s", "t"), "x");
  EXPECT_TRUE(*get_bool_or(value, "b", false, "t"));
  EXPECT_NE(get_int(value, "s", "t").error().what.find("'s'"), std::string::npos);
  EXPECT_NE(get_string(value, "nope", "t").error().what.find("'nope'"), std::string::npos);
}

TEST(Json, PrettyPrintsWithIndent) {
  EXPECT_EQ(pretty_json(*parse_json(R"({"a":[1],"b":{}})", "t")),
            "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}\n");
}

}  // namespace
}  // namespace bundle
