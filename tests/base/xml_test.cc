#include "base/xml.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

TEST(Xml, ReadsWhatServicesAnswer) {
  const auto root = parse_xml(
      "<?xml version=\"1.0\"?>\n<!-- a --><R xmlns='u'>\n <L><member><K>1</K></member>"
      "<member><K a=\"/>\">2</K></member></L><E/><T>a &lt;&amp;&#62;&#x20AC;<![CDATA[<b>&]]></T>"
      "</R>\n",
      "answer");
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(root->name, "R");
  ASSERT_EQ(root->items("L").size(), 2u);
  EXPECT_EQ(root->items("L")[1].child_text("K"), "2");
  EXPECT_EQ(root->child_text("T"), "a <&>€<b>&");
  EXPECT_EQ(root->child_text("E"), "");
  EXPECT_TRUE(root->items("none").empty());
  EXPECT_EQ(root->child("none"), nullptr);
}

TEST(Xml, RefusesEveryPrefixOfADocument) {
  const std::string whole = "<a><b c=\"d\">e&amp;f</b><g/></a>";
  ASSERT_TRUE(parse_xml(whole, "answer"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto result = parse_xml(std::string_view(whole).substr(0, size), "answer");
    ASSERT_FALSE(result) << size;
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  }
}

TEST(Xml, RefusesWhatIsHostile) {
  for (const std::string& text :
       {std::string("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), std::string("<a>&b;</a>"),
        std::string("<a>&#0;</a>"), std::string("<a>&#xD800;</a>"),
        std::string("<a>&#x110000;</a>"), std::string("<a>&#;</a>"), std::string("<a><b></a></b>"),
        std::string("<a></a><b/>"), std::string("<a></a>x"), std::string("x<a/>"),
        std::string("<a b></a>"), std::string("<a b=c></a>"), std::string("< a/>"),
        std::string("<a>\xff</a>"), std::string("<a><!ELEMENT b></a>"),
        std::string("<a>&aaaaaaaaaaaaaaaaaaaa;</a>")}) {
    EXPECT_FALSE(parse_xml(text, "answer")) << text;
  }
}

std::string nested(std::size_t depth) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += "<a>";
  for (std::size_t i = 0; i < depth; ++i) text += "</a>";
  return text;
}

TEST(Xml, LimitsDepthAndCount) {
  EXPECT_TRUE(parse_xml(nested(64), "answer"));
  EXPECT_FALSE(parse_xml(nested(65), "answer"));
  EXPECT_FALSE(parse_xml(nested(1'000'000), "answer"));
  std::string many = "<a>";
  for (int i = 0; i < 200'000; ++i) many += "<b/>";
  EXPECT_FALSE(parse_xml(many + "</a>", "answer"));
  EXPECT_TRUE(parse_xml(many.substr(0, 3 + 4 * 199'999) + "</a>", "answer"));
}

}  // namespace
}  // namespace bundle
