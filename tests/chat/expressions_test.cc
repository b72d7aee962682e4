#include "tests/chat/render.h"

namespace bundle::chat {
namespace {

TEST(Expressions, FollowJinjasPrecedence) {
  EXPECT_EQ(render("{{ 1 + 2 * 3 ** 2 }}"), "19");
  EXPECT_EQ(render("{{ 2 ** 3 ** 2 }}"), "64");  // Jinja's power groups to the left
  EXPECT_EQ(render("{{ -2 ** 2 }}"), "4");
  EXPECT_EQ(render("{{ 1 ~ 2 + 3 }}"),
            "ERROR unsupported operand types for +: 'str' and 'int' "
            "(test line 1 column 10)");
  EXPECT_EQ(render("{{ not 1 == 2 and 3 }}"), "3");
  EXPECT_EQ(render("{{ 'a' if false else 'b' if false else 'c' }}"), "c");
  EXPECT_EQ(render("{{ -3|abs }}"), "3");
  EXPECT_EQ(render("{{ 'x' ~ 'y'|upper }}"), "xY");
}

TEST(Expressions, ChainComparisons) {
  EXPECT_EQ(render("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 in [1] == true }}"), "True False False");
  EXPECT_EQ(render("{{ 'b' not in 'abc' }} {{ 2 not in [1] }}"), "False True");
}

TEST(Expressions, ComputeAsPython) {
  EXPECT_EQ(render("{{ 7 // -2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** -1 }}"), "-4 2 3.5 0.5");
  EXPECT_EQ(render("{{ 1e16 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 100.0 }}"),
            "1e+16 0.30000000000000004 1e-05 100.0");
  EXPECT_EQ(render("{{ true + true }} {{ 1 == 1.0 }} {{ 'ab' * 2 }} {{ [1] * 2 }}"),
            "2 True abab [1, 1]");
  EXPECT_EQ(render("{{ x }}", R"({"x": 18446744073709551615})"), "18446744073709551615");
  EXPECT_EQ(render("{{ 1 / 0 }}"), "ERROR division by zero (test line 1 column 6)");
  EXPECT_TRUE(try_render("{{ 2 ** 127 }}").has_error());
}

TEST(Expressions, PrintAsPython) {
  EXPECT_EQ(render("{{ [none, true, 'a\\'b', \"c\\\"d'\", 1.5] }}"),
            "[None, True, \"a'b\", 'c\"d\\'', 1.5]");
  EXPECT_EQ(render("{{ {'a': (1,), 2: ()} }}"), "{'a': (1,), 2: ()}");
  EXPECT_EQ(render("{{ ['é\\n\\u200b😀'] }}"), "['é\\n\\u200b😀']");
  EXPECT_EQ(render("{{ range(3) }} {{ {'a': 1}.items() }}"), "range(0, 3) dict_items([('a', 1)])");
}

TEST(Expressions, SliceByCodePoints) {
  EXPECT_EQ(render("{{ 'Zürich'[1] }}{{ 'Zürich'[-4:] }}{{ 'aéb'[::-1] }}"), "ürichbéa");
  EXPECT_EQ(render("{{ [1, 2, 3, 4][::-2] }} {{ (1, 2, 3)[1:99] }}"), "[4, 2] (2, 3)");
  EXPECT_TRUE(try_render("{{ 'a'[::0] }}").has_error());
  EXPECT_TRUE(try_render("{{ none[1:] }}").has_error());
}

TEST(Expressions, LookAttributesUpBeforeItems) {
  const char* context = R"({"d": {"items": 5, "name": "n"}})";
  EXPECT_EQ(render("{{ d.name }} {{ d['items'] }} {{ d.items is callable }}", context), "n 5 True");
  EXPECT_EQ(render("{{ d['upper'] is defined }} {{ 'a'['upper']() }}", context), "False A");
}

TEST(Expressions, TreatUndefinedAsJinja) {
  EXPECT_EQ(render("[{{ x }}{{ x|length }}{{ x is defined }}{% for y in x %}{% endfor %}]"),
            "[0False]");
  EXPECT_EQ(render("{{ none.x }}{{ {}.x }}{{ 'y' if x == z }}"), "y");
  EXPECT_EQ(render("{{ x.y }}"), "ERROR 'x' is undefined (test line 1 column 5)");
  EXPECT_TRUE(try_render("{{ x + 1 }}").has_error());
  EXPECT_TRUE(try_render("{{ x() }}").has_error());
  EXPECT_TRUE(try_render("{{ {}.x.y }}").has_error());
}

TEST(Expressions, RefuseWhatTheSandboxRefuses) {
  EXPECT_EQ(
      render("{{ l.append }}{{ d.update is defined }}{{ l.__class__ }}", R"({"l": [], "d": {}})"),
      "False");
  EXPECT_TRUE(try_render("{{ l.append(1) }}", R"({"l": []})").has_error());
  EXPECT_TRUE(try_render("{{ d.pop('a') }}", R"({"d": {"a": 1}})").has_error());
  EXPECT_TRUE(try_render("{{ ''.__class__.mro() }}").has_error());
  EXPECT_TRUE(try_render("{% set n = namespace(_x=1) %}").has_error());
}

TEST(Expressions, FormatText) {
  EXPECT_EQ(render("{{ '%05.1f|%-4s|%x|%%' % (3.14159, 'a', 255) }}"), "003.1|a   |ff|%");
  EXPECT_EQ(render("{{ '%(a)s' % {'a': 1} }}"), "1");
  EXPECT_EQ(render("{{ '{0:>5}{1!r}{x.y:,}'.format('a', 'b', x={'y': 1234567}) }}"),
            "    a'b'1,234,567");
  EXPECT_TRUE(try_render("{{ '%d' % 'a' }}").has_error());
  EXPECT_TRUE(try_render("{{ '{'.format(1) }}").has_error());
}

TEST(Expressions, CallStringMethods) {
  EXPECT_EQ(render("{{ ' a b '.split() }}{{ 'a,b,c'.rsplit(',', 1) }}"), "['a', 'b']['a,b', 'c']");
  EXPECT_EQ(render("{{ 'abc'.startswith(('x', 'ab')) }}{{ 'aXbX'.replace('X', '-', 1) }}"),
            "Truea-bX");
  EXPECT_EQ(render("{{ 'straße'.upper() }}{{ 'ΑΣ'.lower() }}{{ 'hello wORLD'.title() }}"),
            "STRASSEαςHello World");
  EXPECT_EQ(render("{{ 'xxabcxx'.strip('x') }}{{ 'a-b'.partition('-') }}"), "abc('a', '-', 'b')");
}

TEST(Expressions, EscapeWhatIsAddedToMarkup) {
  EXPECT_EQ(render("{{ ('<b>'|safe) + '<i>' }}{{ '<'|e }}{{ ('<'|e) ~ '<' }}"),
            "<b>&lt;i&gt;&lt;&lt;<");
}

TEST(Expressions, NameLineAndColumnOfErrors) {
  EXPECT_EQ(render("a\n  {{ 1 + }}"),
            "ERROR unexpected the end of the tag (test line 2 column 10)");
  EXPECT_EQ(render("{{ 'é' + 1 }}"),
            "ERROR unsupported operand types for +: 'str' and 'int' (test line 1 column 8)");
  EXPECT_EQ(render("{{ x|nosuch }}"), "ERROR No filter named 'nosuch' (test line 1 column 6)");
  EXPECT_TRUE(try_render("{{ 'open }}").has_error());
  EXPECT_TRUE(try_render("{{ (1 }}").has_error());
  EXPECT_TRUE(try_render("{{ 1").has_error());
  EXPECT_TRUE(try_render("{{ a b }}").has_error());
}

}  // namespace
}  // namespace bundle::chat
