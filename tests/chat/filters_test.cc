#include "tests/chat/render.h"

namespace bundle::chat {
namespace {

TEST(Filters, DumpJsonAsPython) {
  const char* context =
      R"({"x": {"b": [1, 2.0, 1e100, true, null], "a": "é\"\\\n\u0001/</s>", "e": {}}})";
  EXPECT_EQ(render("{{ x|tojson }}", context),
            R"({"b": [1, 2.0, 1e+100, true, null], "a": "é\"\\\n\u0001/</s>", "e": {}})");
  EXPECT_EQ(render("{{ x|tojson(sort_keys=true, separators=(',', ':')) }}", context),
            R"({"a":"é\"\\\n\u0001/</s>","b":[1,2.0,1e+100,true,null],"e":{}})");
  EXPECT_EQ(render("{{ {'a': [1, []], 'b': {}}|tojson(indent=2) }}"),
            "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}");
  EXPECT_EQ(render("{{ '😀é\\x7f'|tojson(ensure_ascii=true) }}"), R"("\ud83d\ude00\u00e9\u007f")");
  EXPECT_EQ(render("{{ {1: 2, none: 3, true: 4}|tojson }}"), R"({"1": 4, "null": 3})");
  EXPECT_TRUE(try_render("{{ x|tojson }}").has_error());
  EXPECT_TRUE(try_render("{{ {(1, 2): 3}|tojson }}").has_error());
}

TEST(Filters, WorkOnSequences) {
  const char* context = R"({"l": [{"k": "b", "v": 2}, {"k": "A", "v": 1}, {"k": "a", "v": 3}]})";
  EXPECT_EQ(render("{{ l|map(attribute='k')|join(',') }}", context), "b,A,a");
  EXPECT_EQ(render("{{ l|sort(attribute='k')|map(attribute='v')|list }}", context), "[1, 3, 2]");
  EXPECT_EQ(render("{{ l|selectattr('v', 'gt', 1)|map(attribute='v')|sum }}", context), "5");
  EXPECT_EQ(render("{{ (l|rejectattr('k', 'equalto', 'b')|first).v }}", context), "1");
  EXPECT_EQ(render("{% for g in l|groupby('k') %}{{ g.grouper }}{{ g.list|length }} {% endfor %}",
                   context),
            "A2 b1 ");
  EXPECT_EQ(render("{{ [1, 2, 3, 4, 5]|batch(2, 'x')|list }}{{ 'abcd'|slice(3)|list }}"),
            "[[1, 2], [3, 4], [5, 'x']][['a', 'b'], ['c'], ['d']]");
  EXPECT_EQ(render("{{ ['b', 'B', 'a']|unique|list }}{{ {'b': 1, 'A': 2}|dictsort }}"),
            "['b', 'a'][('A', 2), ('b', 1)]");
  EXPECT_EQ(render("{{ [3, 1]|max }}{{ [[1], [0]]|min }}{{ []|first is defined }}"), "3[0]False");
  EXPECT_EQ(render("{{ 'abc'|reverse }}{{ [1, 2]|reverse|list }}{{ [1, 2]|last }}"), "cba[2, 1]2");
}

TEST(Filters, AreLazy) {
  EXPECT_EQ(render("{{ [1, 'a']|map('abs')|first }}"), "1");
  EXPECT_TRUE(try_render("{{ [1, 'a']|map('abs')|list }}").has_error());
  EXPECT_EQ(render("{% set x = [1]|map('nosuch') %}ok"), "ok");
  EXPECT_EQ(render("{% set x = [1, 2]|select %}{{ x|list }}{{ x|list }}"), "[1, 2][]");
}

TEST(Filters, WorkOnText) {
  EXPECT_EQ(render("{{ 'a\nb\n\nc'|indent(2) }}"), "a\n  b\n\n  c");
  EXPECT_EQ(render("{{ 'hello big old world'|truncate(10) }}|{{ 'hello wORLD-x'|title }}"),
            "hello...|Hello World-X");
  EXPECT_EQ(render("{{ 'one two three'|wordwrap(7) }}|{{ 'a b_c é'|wordcount }}"),
            "one two\nthree|3");
  EXPECT_EQ(render("{{ 'well-known fact'|wordwrap(6) }}"), "well-\nknown\nfact");
  EXPECT_EQ(render("{{ 'a b/ü'|urlencode }}{{ {'a': 'x y'}|urlencode }}"), "a%20b/%C3%BCa=x+y");
  EXPECT_EQ(render("{{ '<p>a  &amp; b</p>'|striptags }}{{ {'a': '<', 'b': none}|xmlattr }}"),
            "a & b a=\"&lt;\"");
  EXPECT_EQ(
      render("{{ 'x'|center(5) }}|{{ ' x '|trim }}|{{ 1|string }}|{{ 'ab'|replace('a', 1) }}"),
      "  x  |x|1|1b");
}

TEST(Filters, WorkOnNumbers) {
  EXPECT_EQ(
      render("{{ 2.5|round }} {{ 2.675|round(2) }} {{ 7|round(1) }} {{ 2.1|round(0, 'ceil') }}"),
      "2.0 2.67 7 3.0");
  EXPECT_EQ(render("{{ ' 0x1f '|int(0, 16) }} {{ '1_000'|int }} {{ '3.9'|int }} {{ 'x'|int(5) }}"),
            "31 1000 3 5");
  EXPECT_EQ(render("{{ 'x'|float }} {{ '1e3'|float }} {{ -5|abs }} {{ x|default('d') }} "
                   "{{ ''|d('e', true) }}"),
            "0.0 1000.0 5 d e");
  EXPECT_EQ(render("{{ 1500|filesizeformat }} {{ 1536|filesizeformat(true) }}"), "1.5 kB 1.5 KiB");
}

TEST(Filters, CheckTheirArguments) {
  EXPECT_TRUE(try_render("{{ 'a'|upper(1) }}").has_error());
  EXPECT_TRUE(try_render("{{ 'a'|replace('b') }}").has_error());
  EXPECT_TRUE(try_render("{{ [1]|join(nosuch=1) }}").has_error());
  EXPECT_TRUE(try_render("{{ 5|length }}").has_error());
  EXPECT_TRUE(try_render("{{ [1, 'a']|sort }}").has_error());
  EXPECT_TRUE(try_render("{{ [1]|random }}").has_error());
}

TEST(Tests, LookAtTypes) {
  EXPECT_EQ(render("{{ 1 is number }}{{ true is number }}{{ true is integer }}{{ 1.0 is float }}"),
            "TrueTrueFalseTrue");
  EXPECT_EQ(render("{{ 'a' is string }}{{ {} is mapping }}{{ 'a' is sequence }}"
                   "{{ {} is sequence }}{{ 1 is iterable }}"),
            "TrueTrueTrueTrueFalse");
  EXPECT_EQ(render("{{ 4 is divisibleby 2 }}{{ 3 is odd }}{{ 1 is in [1] }}{{ none is none }}"
                   "{{ x is not defined }}{{ 1 is sameas true }}{{ 'upper' is filter }}"),
            "TrueTrueTrueTrueTrueFalseTrue");
}

}  // namespace
}  // namespace bundle::chat
