#include "templates/quote.h"

#include <gtest/gtest.h>

#include "base/command.h"
#include "packager/yaml.h"
#include "tests/templates/hostile_values.h"

namespace bundle::templates {
namespace {

TEST(ShellWord, ARealShellReadsBackTheValue) {
  for (const std::string& value : hostile_values()) {
    const auto result = run_command({.argv = {"sh", "-c", "printf %s " + shell_word(value)}});
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->out, value);
    EXPECT_EQ(result->exit_code, 0);
  }
}

TEST(ShellWord, LeavesPlainWordsReadable) {
  EXPECT_EQ(shell_word("/var/lib/bundle"), "/var/lib/bundle");
  EXPECT_EQ(shell_word("a=b"), "a=b");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(YamlScalar, AParserReadsBackTheValue) {
  for (const std::string& value : hostile_values()) {
    const auto node = packager::parse_yaml("key: " + yaml_scalar(Json(value)) + "\n", "test");
    ASSERT_TRUE(node) << node.error().message() << " for " << value;
    ASSERT_EQ(node->members.size(), 1u) << value;
    EXPECT_EQ(node->members[0].value.text, value);
  }
}

TEST(YamlScalar, TextsThatLookTypedAreQuoted) {
  for (const char* text : {"yes", "NO", "null", "1", "1.5", "0x1F", "1e3", "12:30", "~", "-", ""}) {
    EXPECT_EQ(yaml_scalar(Json(text)).front(), '"') << text;
  }
  EXPECT_EQ(yaml_scalar(Json("smollm2")), "smollm2");
  EXPECT_EQ(yaml_scalar(Json(8)), "8");
  EXPECT_EQ(yaml_scalar(Json(2.0)), "2");
  EXPECT_EQ(yaml_scalar(Json(0.25)), "0.25");
  EXPECT_EQ(yaml_scalar(Json(1e6)), "1000000");
  EXPECT_EQ(yaml_scalar(Json(true)), "true");
}

TEST(QuotedJson, IsJson) {
  for (const std::string& value : hostile_values()) {
    const auto parsed = parse_json(quoted_json(value), "test");
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->get_string(), value);
  }
}

TEST(YamlBlock, NestsMapsAndLists) {
  const Json value = JsonObject{{"a", JsonArray{1, JsonObject{{"b", "x y"}}}}, {"c", JsonObject{}}};
  EXPECT_EQ(yaml_block(value, 2), "  a:\n    - 1\n    -\n      b: \"x y\"\n  c: {}\n");
}

TEST(SystemdWord, EscapesWhatSystemdExpands) {
  EXPECT_EQ(*systemd_exec_word("50% $HOME \"q\" \\"), R"("50%% $$HOME \"q\" \\")");
  EXPECT_EQ(*systemd_word("A=50% $HOME"), R"("A=50%% $HOME")");
  EXPECT_EQ(*systemd_word("a\nb"), R"("a\x0ab")");
  EXPECT_TRUE(systemd_word(std::string("a\0b", 3)).has_error());
  EXPECT_TRUE(systemd_word("\xFF").has_error());
  EXPECT_TRUE(systemd_word("a\rb").has_error());
  EXPECT_TRUE(systemd_word("a\x7F").has_error());
}

TEST(BareWord, RefusesWhatNeedsQuotes) {
  EXPECT_TRUE(bare_word("a-b.c/d:1"));
  EXPECT_TRUE(bare_word("a b", true));
  for (const char* text : {"", "a b", "a\nb", "a\"", "a'", "a$b", "a%b", "a\\", "a#b", "a*"}) {
    EXPECT_TRUE(bare_word(text).has_error()) << text;
  }
  EXPECT_TRUE(bare_word("a  b", true).has_error());
  EXPECT_TRUE(bare_word("a ", true).has_error());
}

}  // namespace
}  // namespace bundle::templates
