#include "packager/yaml.h"

#include <gtest/gtest.h>

namespace bundle::packager {
namespace {

std::string refusal(std::string_view text) {
  const auto parsed = parse_yaml(text, "f");
  return parsed ? "accepted" : parsed.error().message();
}

TEST(Yaml, KnowsWhereValuesStand) {
  const auto root = parse_yaml("a: 1\nb:\n  - x\n  - 'two words'\nc:\n", "f");
  ASSERT_TRUE(root) << root.error().message();
  ASSERT_EQ(root->members.size(), 3u);
  const YamlNode& list = root->members[1].value;
  EXPECT_EQ(list.items[1].text, "two words");
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_EQ(yaml_position("f", list.items[1]), "f:4:5");
  EXPECT_EQ(root->members[2].value.kind, YamlNode::Kind::kNull);
}

TEST(Yaml, AcceptsWhatPeopleWrite) {
  for (const char* text :
       {"", "# only a comment\n", "---\na: 1\n", "a: 1\n...\n", "\xEF\xBB\xBF# with a mark\na: b\n",
        "a: \"x \\\" y\"\r\nb: 'it''s'\r\n", "a: |\n  it's \"quoted\n", "a: >-\n  x\n",
        "{a: [1, 2], b: {c: d}}", "a: \"two\n  lines\"\n", "a: it's\n"}) {
    EXPECT_EQ(refusal(text), "accepted") << text;
  }
}

TEST(Yaml, RefusesADuplicateKeyAndNamesBothLines) {
  EXPECT_EQ(refusal("a: 1\nb: 2\na: 3\n"),
            "the key 'a' comes twice (f:3:1). It is set on line 1 already; keep one of them.");
}

TEST(Yaml, RefusesAnchorsAndAliases) {
  EXPECT_NE(refusal("a: &x 1\n").find("anchor"), std::string::npos);
  EXPECT_NE(refusal("a: &x [*x]\n").find("f:1:4"), std::string::npos);
  EXPECT_NE(refusal("a: *x\n"), "accepted");
  EXPECT_NE(refusal("a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n"), "accepted");
  EXPECT_NE(refusal("<<: *x\n"), "accepted");
}

TEST(Yaml, RefusesTags) {
  for (const char* text : {"a: !!str 1\n", "a: !!python/object/apply:os.system ['id']\n",
                           "a: !env HOME\n", "!!map {a: 1}\n"}) {
    EXPECT_NE(refusal(text).find("tag"), std::string::npos) << text;
  }
}

TEST(Yaml, RefusesTextThatIsNotYaml) {
  for (const char* text :
       {"a: \"x", "a: 'x\n", "a: 'it''\n", "a: \"x\\\"\n", "a: [1, 2", "a: {b: 1", "a: b: c\n",
        "\ta: 1\n", "a: 1\n b: 2\n", "a: @x\n", "a: [1]]\n", "a: \"b\" c\n", "? [x]\n: 1\n",
        "a: 1\n---\nb: 2\n", "a: 1\n...\nb: 2\n", "a: \x01\n", "a: \x7f\n", "a: \xff\n",
        "a: \xc0\xaf\n"}) {
    EXPECT_NE(refusal(text), "accepted") << text;
  }
  EXPECT_NE(refusal(std::string_view("a: x\0y\n", 7)), "accepted");
}

TEST(Yaml, RefusesDeepNesting) {
  std::string maps;
  for (int i = 0; i < 100; ++i) maps += std::string(i, ' ') + "a:\n";
  for (const std::string& text : {std::string(65, '[') + std::string(65, ']'),
                                  std::string(50000, '['), std::string(50000, '{'), maps}) {
    EXPECT_NE(refusal(text), "accepted");
  }
  EXPECT_EQ(refusal(std::string(60, '[') + std::string(60, ']')), "accepted");
}

TEST(Yaml, TakesManyKeysInLinearTime) {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += "k" + std::to_string(i) + ": v\n";
  EXPECT_EQ(refusal(text), "accepted");
}

// Every prefix and every one-byte change of a real file parses or is refused; none hangs or throws.
TEST(Yaml, SurvivesDamage) {
  const std::string text =
      "name: \"a\"\nruntime:\n  sampling: {temperature: 0.5, top_k: 3}\n  chat_template: |\n    {{ "
      "x "
      "}}\nenv: {A: 'b'}\nsecrets: [X, Y]\n# end\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    (void)parse_yaml(std::string_view(text).substr(0, i), "f");
    for (const char c : std::string("\"'{}[]:&*!|>%@\t\n- #,\x80", 20)) {
      std::string changed = text;
      changed[i] = c;
      (void)parse_yaml(changed, "f");
    }
  }
}

}  // namespace
}  // namespace bundle::packager
