#include "tests/chat/render.h"

namespace bundle::chat {
namespace {

TEST(Statements, TrimBlocksAndIndents) {
  EXPECT_EQ(render("a\n  {% if true %}\n  b\n  {% endif %}\nc"), "a\n  b\nc");
  EXPECT_EQ(render("a\n  {{ 1 }}\n"), "a\n  1");
  EXPECT_EQ(render("a \n {%- if true -%} \n b {%+ endif +%}\nc"), "ab \nc");
  EXPECT_EQ(render("  {# gone #}\nx{#- y -#} z"), "xz");
  EXPECT_EQ(render("a\r\nb\rc\n\n"), "a\nb\nc\n");
  EXPECT_EQ(render("{% raw %}\n{{ x }}{% endraw %}\n."), "\n{{ x }}.");
}

TEST(Statements, LoopsKnowWhereTheyAre) {
  EXPECT_EQ(render("{% for x in 'abc' %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}"
                   "{% endfor %}"),
            "1a,2b,3c");
  EXPECT_EQ(render("{% for x in [1, 2, 3] %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}"
                   "{{ loop.cycle('o', 'e') }}{{ loop.revindex0 }};{% endfor %}"),
            "<1>2o2;1<2>3e1;2<3>o0;");
  EXPECT_EQ(render("{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}"),
            "True False True ");
  EXPECT_EQ(
      render("{% for x in [1, 2, 3, 4] if x is even %}{{ x }}/{{ loop.length }} {% endfor %}"),
      "2/2 4/2 ");
  EXPECT_EQ(render("{% for x in [] %}{% else %}none{% endfor %}"), "none");
  EXPECT_EQ(render("{% for a, (b, c) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %}"), "6");
  EXPECT_EQ(render("{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is iterable else x }}"
                   "{{ loop.depth }}{% endfor %}"),
            "11223321");
  EXPECT_EQ(render("{% for x in range(9) %}{% if x == 1 %}{% continue %}{% endif %}"
                   "{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}"),
            "02");
}

TEST(Statements, ScopeVariablesAsJinja) {
  EXPECT_EQ(
      render("{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = i + 5 %}{{ x }}{% endfor %}"
             "{{ x }}"),
      "16171");
  EXPECT_EQ(render("{% if true %}{% set x = 2 %}{% endif %}{{ x }}"), "2");
  EXPECT_EQ(render("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}"
                   "{% endfor %}{{ ns.n }}{{ ns }}"),
            "3<Namespace {'n': 3}>");
  EXPECT_EQ(render("{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}"
                   "{% set x = 2 %}{{ m() }}"),
            "12");
  EXPECT_EQ(render("{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", R"({"a": 9})"),
            "199");
  EXPECT_EQ(render("{% set a, b = 1, 2 %}{{ b }}{{ a }}"), "21");
  EXPECT_EQ(render("{% set x %} t {% endset %}[{{ x }}]{% set y | trim | upper %} u {% endset %}"
                   "{{ y }}"),
            "[ t ]U");
}

TEST(Statements, MacrosTakeArguments) {
  EXPECT_EQ(render("{% macro m(a, b='d', c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}"
                   "{{ m(1) }}{{ m(1, c=2) }}{{ m(*[1, 2], **{'c': 3}) }}"),
            "1d1;1d2;123;");
  EXPECT_EQ(render("{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}"
                   "{{ m(1, 2, k=3) }}"),
            "1(2,){'k': 3}");
  EXPECT_EQ(render("{% macro m() %}<{{ caller(5) }}>{% endmacro %}"
                   "{% call(x) m() %}{{ x }}{% endcall %}"),
            "<5>");
  EXPECT_TRUE(try_render("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}").has_error());
  EXPECT_TRUE(try_render("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}").has_error());
}

TEST(Statements, BlocksOfEveryKind) {
  EXPECT_EQ(render("{% filter upper %}a{{ 'b' }}{% endfilter %}"), "AB");
  EXPECT_EQ(render("{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}[{{ x }}]"), "1[]");
  EXPECT_EQ(render("{% block b %}{{ x }}{% endblock %}", R"({"x": 1})"), "1");
  EXPECT_EQ(render("{% print 1, 'a' %}"), "1a");
}

TEST(Statements, RefuseWhatIsNotThere) {
  EXPECT_TRUE(try_render("{% do x %}").has_error());
  EXPECT_TRUE(try_render("{% include 'x' %}").has_error());
  EXPECT_EQ(render("{% if false %}{% include 'x' %}{{ a|nosuch }}{% endif %}ok"), "ok");
  EXPECT_TRUE(try_render("{% break %}").has_error());
  EXPECT_TRUE(try_render("{% for x in y %}").has_error());
  EXPECT_TRUE(try_render("{% endif %}").has_error());
  EXPECT_TRUE(try_render("{% for x in [1] %}{% set loop = 1 %}{% endfor %}").has_error());
  EXPECT_TRUE(try_render("{% set a, b = [1] %}").has_error());
  EXPECT_TRUE(try_render("{% set x.y = 1 %}", R"({"x": {}})").has_error());
  EXPECT_EQ(render("{% if x %}\n{% elif y %}\n{% fi %}"),
            "ERROR Encountered unknown tag 'fi' where 'elif' or 'else' or 'endif' is due "
            "(test line 3 column 4)");
}

TEST(Statements, RaiseAndTellTheTime) {
  EXPECT_EQ(render("{{ raise_exception('no ' ~ 1) }}"), "ERROR no 1 (test line 1 column 19)");
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y %H:%M:%S') }}"), "23 Nov 2026 21:14:05");
  EXPECT_EQ(render("{{ strftime_now('%A %j %%|%f|%Z') }}{{ strftime_now('') }}"),
            "Monday 327 %|000000|");
}

// A template of our own in the manner of published ones, with most of their constructs at once.
constexpr const char* kToolTemplate = R"({{- bos_token }}
{%- set ns = namespace(system='', last=-1) %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = ns.system + message['content'] | trim %}
    {%- elif message.role == 'user' %}
        {%- set ns.last = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- macro show(call) -%}
    <call name={{ call.name | tojson }}>{{ call.arguments | tojson(indent=1) }}</call>
{%- endmacro %}
{%- if ns.system or tools %}
    {{- '[SYS]' ~ ns.system }}
    {%- for tool in tools or [] %}
        {{- '\n' + tool.function | tojson }}
    {%- endfor %}
    {{- '[/SYS]\n' }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {%- if message.role == 'assistant' and message.tool_calls is defined %}
        {%- for call in message.tool_calls %}
            {{- show(call.function) }}
        {%- endfor %}
    {%- elif message.role == 'assistant' %}
        {{- '[A]' + message.content.split('</think>')[-1].lstrip('\n') + eos_token }}
    {%- elif message.role in ('user', 'tool') %}
        {{- '[' ~ message.role[0] | upper ~ ']' ~ message.content }}
    {%- else %}
        {{- raise_exception('unknown role ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[A]' }}{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}
{%- endif %}
)";

TEST(Statements, RenderAToolConversation) {
  const char* context = R"({
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true,
    "enable_thinking": false,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": 1.0}}}],
    "messages": [
      {"role": "system", "content": " be brief "},
      {"role": "user", "content": "hé"},
      {"role": "assistant", "content": null,
       "tool_calls": [{"function": {"name": "f", "arguments": {"x": "ü", "y": []}}}]},
      {"role": "tool", "content": "7"},
      {"role": "assistant", "content": "<think>so</think>\n\nseven"}]})";
  EXPECT_EQ(render(kToolTemplate, context),
            "<s>[SYS]be brief\n{\"name\": \"f\", \"parameters\": {\"x\": 1.0}}[/SYS]\n[U]hé"
            "<call name=\"f\">{\n \"x\": \"ü\",\n \"y\": []\n}</call>[T]7[A]seven</s>"
            "[A]<think></think>");
  EXPECT_EQ(render(kToolTemplate, R"({"messages": [{"role": "alien", "content": ""}]})"),
            "ERROR unknown role alien (test line 30 column 28)");
}

}  // namespace
}  // namespace bundle::chat
