// Templates that mean harm end with an error, soon, and leave nothing behind.
#include "tests/chat/render.h"

namespace bundle::chat {
namespace {

std::string repeat(std::string_view part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

RenderLimits small() {
  RenderLimits limits;
  limits.steps = 300'000;
  limits.output_bytes = 1 << 20;
  return limits;
}

void expect_refused(std::string_view source, std::string_view context = "{}") {
  EXPECT_TRUE(try_render(source, context, small()).has_error()) << source;
}

TEST(Limits, BoundValues) {
  expect_refused("{{ 'x' * 10**12 }}");
  expect_refused("{{ [0] * 10**12 }}");
  expect_refused("{{ 'x'.center(10**12) }}");
  expect_refused("{{ 'x'.zfill(10**12) }}");
  expect_refused("{{ '%999999999d' % 1 }}");
  expect_refused("{{ '%*d' % (10**9, 1) }}");
  expect_refused("{{ '{:999999999}'.format(1) }}");
  expect_refused("{{ '\\t'.expandtabs(10**12) }}");
  expect_refused("{{ 'a\nb'|indent(10**12) }}");
  expect_refused("{{ [1]|tojson(indent=10**12) }}");
  expect_refused("{{ [1]|batch(10**12, 0)|list }}");
  expect_refused("{{ ('a' * 1000).replace('a', 'b' * 10000) }}");
  expect_refused("{{ ('a' * 1000).join('b' * 10000) }}");
  expect_refused("{{ range(10**12) }}");
  expect_refused("{{ strftime_now('%9999d') }}");
}

TEST(Limits, BoundGrowth) {
  expect_refused(
      "{% set ns = namespace(x='ab') %}{% for i in range(100) %}"
      "{% set ns.x = ns.x + ns.x %}{% endfor %}");
  expect_refused(
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}"
      "{% set ns.x = ns.x + ns.x %}{% endfor %}");
  expect_refused(
      "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}"
      "{% set ns.x = ns.x + ['y' * 900000] %}{% endfor %}");
  expect_refused("{% for i in range(100000) %}{{ 'y' * 1000 }}{% endfor %}");
}

TEST(Limits, BoundTime) {
  expect_refused(
      "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
  expect_refused(
      "{% set t = 'a' * 1000000 %}{% for i in range(99999) %}{{ 'b' in t }}{% endfor %}");
  // Each level holds the one below twice: walking it would take 2^150 steps.
  const std::string wide =
      "{% set ns = namespace(x=1, y=1) %}{% for i in range(150) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
  expect_refused(wide + "{{ ns.x == ns.y }}");
  expect_refused(wide + "{{ ns.x < ns.y }}");
  expect_refused(wide + "{{ ns.x }}");
  expect_refused(wide + "{{ ns.x|tojson }}");
  const std::string keys =
      "{% set ns = namespace(x=(), y=()) %}{% for i in range(150) %}"
      "{% set ns.x = (ns.x, ns.x) %}{% set ns.y = (ns.y, ns.y) %}{% endfor %}";
  expect_refused(keys + "{{ {ns.x: 1, ns.y: 2} }}");
}

TEST(Limits, SearchInLinearTime) {
  EXPECT_EQ(render("{{ ('a' * 500000).find('a' * 200000 + 'b') }}"), "-1");
  EXPECT_EQ(render("{{ ('a' * 500000).rfind('b' + 'a' * 200000) }}"), "-1");
  EXPECT_EQ(render("{{ ('a' * 500000).split('a' * 200000 + 'b')|length }}"), "1");
}

TEST(Limits, BoundDepth) {
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_refused(
      "{% macro m(n) %}{% if n %}{% call m(n) %}{{ caller() }}{% endcall %}{% endif %}"
      "{% endmacro %}{{ m(1) }}");
  expect_refused("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}");
  expect_refused(
      "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}"
      "{% set ns.x = [ns.x] %}{% endfor %}");
  expect_refused(
      "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}"
      "{% set ns.x = ns.x|map('string') %}{% endfor %}{{ ns.x|list }}");
  expect_refused("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}");
}

TEST(Limits, BoundTheParser) {
  expect_refused("{{ " + repeat("(", 100000) + repeat(")", 100000) + " }}");
  expect_refused("{{ " + repeat("[", 100000) + " }}");
  expect_refused("{{ " + repeat("-", 100000) + "1 }}");
  expect_refused("{{ " + repeat("not ", 100000) + "1 }}");
  expect_refused("{{ " + repeat("1 if 1 else ", 100000) + "1 }}");
  expect_refused("{{ 1" + repeat(" + 1", 100000) + " }}");
  expect_refused("{{ x" + repeat(".y", 100000) + " }}");
  expect_refused("{{ x" + repeat("|string", 100000) + " }}");
  expect_refused(repeat("{% if 1 %}", 100000));
  expect_refused(repeat("{% for x in [] %}", 100000));
  EXPECT_EQ(render("{{ 1" + repeat(" + 1", 200) + " }}"), "201");
  EXPECT_EQ(render("{{ " + repeat("(", 60) + "1" + repeat(")", 60) + " }}"), "1");
  std::string names;
  for (int i = 0; i < 20000; ++i) names += "{{ a" + std::to_string(i) + " }}{% if 1 %}{% endif %}";
  expect_refused(names);
}

TEST(Limits, LetGoOfCircles) {
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% set ns.a = [ns] %}{% set ns.b = {'x': ns} %}"
             "{% macro m() %}{{ m }}{% endmacro %}{% set ns.m = m %}"
             "{% for x in [ns] %}{% set ns.loop = loop %}{{ loop.changed(loop) }}{% endfor %}ok"),
      "Trueok");
  // A chain of namespaces, each holding the one before.
  EXPECT_EQ(render("{% set ns = namespace(x=none) %}{% for i in range(100000) %}"
                   "{% set ns.x = namespace(x=ns.x) %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set ns = namespace(x=none) %}{% for i in range(100000) %}"
                   "{% for y in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}ok"),
            "ok");
}

TEST(Limits, RefuseWhatIsNoText) {
  EXPECT_TRUE(ChatTemplate::parse("\xff", "t").has_error());
  EXPECT_TRUE(ChatTemplate::parse(std::string(5u << 20, 'x'), "t").has_error());
  EXPECT_TRUE(try_render("{{ '\\ud800' }}").has_error());
  EXPECT_TRUE(try_render("{{ '\\x4' }}").has_error());
  const auto parsed = ChatTemplate::parse("{{ x }}", "t");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(parsed->render(Json("no object"), 0).has_error());
  EXPECT_EQ(*parsed->render(Json{{"x", "a\xff"}}, 0), "a\xef\xbf\xbd");
}

// Every prefix of a template, and every template with one byte changed, ends in order.
TEST(Limits, SurviveDamage) {
  const std::string source =
      "{%- macro m(a, b=1, *c) -%}{{ a|d('x')[1:2]|tojson(indent=2) }}{%- endmacro %}"
      "{% for a, b in x.items() if a recursive %}{# c #}{{ '\\u00e9%s' % (a,) ~ -1.5e3 }}"
      "{% else %}{% raw %}{{{% endraw %}{% endfor %}{% set n.x = {'a': [1, (2,)]} %}";
  for (std::size_t i = 0; i < source.size(); ++i) {
    static_cast<void>(try_render(source.substr(0, i)));
    for (const char c : {'{', '}', '%', '\'', '(', '|', '\\', '\x80', '\0'}) {
      std::string damaged = source;
      damaged[i] = c;
      static_cast<void>(try_render(damaged, R"({"x": {"a": 1}})", small()));
    }
  }
}

}  // namespace
}  // namespace bundle::chat
