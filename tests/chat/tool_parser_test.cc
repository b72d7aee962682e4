#include "runtime/chat/tool_parser.h"

#include <gtest/gtest.h>

#include "tests/chat/cuts.h"

namespace bundle::chat {
namespace {

std::string parse(ToolFormat format, std::string_view text, bool parallel = true,
                  std::string_view tools = "[]") {
  AnswerSyntax syntax;
  syntax.tools = format;
  syntax.parallel_calls = parallel;
  syntax.tool_list = std::make_shared<const JsonArray>(parse_json(tools, "tools")->as_array());
  return parse_all_cuts(syntax, text, [&](const std::string& cut) {
    ADD_FAILURE() << "'" << text << "' was cut into\n" << cut;
  });
}

std::string hermes(std::string_view text) { return parse(ToolFormat::kHermes, text); }

TEST(ToolParser, ReadsHermesCalls) {
  EXPECT_EQ(
      hermes("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, \"}\"]}}\n</tool_call>"),
      "F0:f\nA0:{\"x\": [1, \"}\"]}\n");
  EXPECT_EQ(
      hermes("Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
             "<tool_call>{\"name\":\"g\",\"arguments\":{\"a\":\"</tool_call>\"}}</tool_call>"),
      "C:Let me see.\nF0:f\nA0:{}\nF1:g\nA1:{\"a\":\"</tool_call>\"}\n");
  EXPECT_EQ(hermes("<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"f\"}</tool_call>"),
            "F0:f\nA0:{\"x\": 1}\n");
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\"}</tool_call> done"), "F0:f\nA0:{}\nC: done\n");
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}</tool_call>"),
            "F0:f\nA0:{\"x\": 1}\n");
}

TEST(ToolParser, WhatIsNoCallIsContent) {
  EXPECT_EQ(hermes("plain text \n"), "C:plain text \n\n");
  EXPECT_EQ(hermes("a <tool_call> b"), "C:a <tool_call> b\n");
  EXPECT_EQ(hermes("<tool_call>{\"x\": 1}</tool_call>"), "C:<tool_call>{\"x\": 1}</tool_call>\n");
  EXPECT_EQ(hermes("<tool_cal"), "C:<tool_cal\n");
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f"), "C:<tool_call>{\"name\": \"f\n");
}

TEST(ToolParser, ACallThatIsCutShortIsStillACall) {
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": \"ab"),
            "F0:f\nA0:{\"x\": \"ab\n");
}

TEST(ToolParser, AForgottenEndTagLosesNothing) {
  EXPECT_EQ(hermes("<tool_call>{\"name\":\"f\",\"arguments\":{}}\nSo."), "F0:f\nA0:{}\nC:So.\n");
}

TEST(ToolParser, ReadsDeepSeekV3Calls) {
  EXPECT_EQ(
      parse(ToolFormat::kDeepSeekV3,
            "Sure.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
            "{\"city\": \"東京\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function"
            "<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
      "C:Sure.\nF0:f\nA0:{\"city\": \"東京\"}\nF1:g\nA1:{}\n");
}

TEST(ToolParser, ReadsDeepSeekV31Calls) {
  EXPECT_EQ(parse(ToolFormat::kDeepSeekV31,
                  "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"<｜\"}"
                  "<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"b\": 2}"
                  "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            "F0:f\nA0:{\"a\": \"<｜\"}\nF1:g\nA1:{\"b\": 2}\n");
  EXPECT_EQ(
      parse(ToolFormat::kDeepSeekV31, "<｜tool▁call▁begin｜>f<｜tool▁sep｜><｜tool▁call▁end｜>"),
      "F0:f\nA0:{}\n");
}

TEST(ToolParser, ReadsLlamaCalls) {
  EXPECT_EQ(parse(ToolFormat::kLlama3, "{\"name\": \"f\", \"parameters\": {\"x\": 1}}"),
            "F0:f\nA0:{\"x\": 1}\n");
  EXPECT_EQ(parse(ToolFormat::kLlama3,
                  "<|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}; "
                  "{\"name\": \"g\", \"parameters\": {\"y\": null}}"),
            "F0:f\nA0:{}\nF1:g\nA1:{\"y\": null}\n");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "<|python_tag|>brave_search.call(query=\"a, \"b\" c\")"),
            "F0:brave_search\nA0:{\"query\":\"a, \\\"b\\\" c\"}\n");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "{\"answer\": 42}"), "C:{\"answer\": 42}\n");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "A set is {1}."), "C:A set is {1}.\n");
  EXPECT_EQ(parse(ToolFormat::kLlama3, "<|python_tag|>print(1)"), "C:<|python_tag|>print(1)\n");
}

TEST(ToolParser, ReadsMistralCalls) {
  EXPECT_EQ(parse(ToolFormat::kMistral,
                  "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"x\": [2]}}, {\"name\": \"g\", "
                  "\"arguments\": {}, \"id\": \"123456789\"}]"),
            "F0:f\nA0:{\"x\": [2]}\nF1:g\nA1:{}\n");
  EXPECT_EQ(parse(ToolFormat::kMistral,
                  "[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{\"x\": 1}[TOOL_CALLS]g[ARGS]{}"),
            "F0:f#abcdefghi\nA0:{\"x\": 1}\nF1:g\nA1:{}\n");
  EXPECT_EQ(parse(ToolFormat::kMistral, "Hm. [TOOL_CALLS] f{\"x\": 1}"),
            "C:Hm.\nF0:f\nA0:{\"x\": 1}\n");
}

TEST(ToolParser, ReadsKimiCalls) {
  EXPECT_EQ(parse(ToolFormat::kKimiK2,
                  "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
                  "<|tool_call_argument_begin|>{\"x\": 1}<|tool_call_end|>"
                  "<|tool_calls_section_end|>"),
            "F0:f#functions.f:0\nA0:{\"x\": 1}\n");
}

constexpr char kTools[] = R"([{"type": "function", "function": {"name": "f", "parameters": {
    "type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"},
    "l": {"type": "array"}}}}}])";

TEST(ToolParser, ReadsQwen3CoderCalls) {
  EXPECT_EQ(
      parse(ToolFormat::kQwen3Coder,
            "Now:\n<tool_call>\n<function=f>\n<parameter=n>\n12\n</parameter>\n<parameter=s>\n"
            "12 \"é\"\n\n</parameter>\n<parameter=l>[1, 2]</parameter>\n</function>\n"
            "</tool_call>\n",
            true, kTools),
      "C:Now:\nF0:f\nA0:{\"n\": 12, \"s\": \"12 \\\"é\\\"\\n\", \"l\": [1, 2]}\n");
  EXPECT_EQ(parse(ToolFormat::kQwen3Coder,
                  "<tool_call><function=g></function></tool_call><tool_call><function=f>"
                  "<parameter=n>many</parameter></function></tool_call>",
                  true, kTools),
            "F0:g\nA0:{}\nF1:f\nA1:{\"n\": \"many\"}\n");
}

TEST(ToolParser, OneCallMayBeAll) {
  EXPECT_EQ(parse(ToolFormat::kHermes,
                  "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"
                  "<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>",
                  false),
            "F0:f\nA0:{}\n");
}

TEST(ToolParser, CallsFollowReasoning) {
  AnswerSyntax syntax;
  syntax.reasoning = ReasoningFormat::kQwen3;
  syntax.start = ReasoningStart::kUndecided;
  syntax.tools = ToolFormat::kHermes;
  const std::string_view text =
      "<think>\nShould I <tool_call>?\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
      "{}}\n</tool_call>";
  EXPECT_EQ(parse_all_cuts(syntax, text, [](const std::string& cut) { ADD_FAILURE() << cut; }),
            "R:\nShould I <tool_call>?\n\nF0:f\nA0:{}\n");
}

/// Whatever a model writes, no byte of its arguments depends on the cuts, and nothing hangs.
TEST(ToolParser, SurvivesNoise) {
  const std::vector<std::string> parts = {"<tool_call>",
                                          "</tool_call>",
                                          "{",
                                          "}",
                                          "\"name\"",
                                          ":",
                                          "\"f\"",
                                          "\"arguments\"",
                                          "[",
                                          "]",
                                          "\\",
                                          "\"",
                                          " ",
                                          "\n",
                                          "<｜tool▁calls▁begin｜>",
                                          "<｜tool▁call▁begin｜>",
                                          "<｜tool▁sep｜>",
                                          "<｜tool▁call▁end｜>",
                                          "<function=",
                                          ">",
                                          "<parameter=",
                                          "</parameter>",
                                          "</function>",
                                          "[TOOL_CALLS]",
                                          "[ARGS]",
                                          "<|python_tag|>",
                                          "x.call(",
                                          ")",
                                          "1",
                                          "é",
                                          "</think>"};
  std::mt19937 random(7);
  const ToolFormat formats[] = {ToolFormat::kHermes,     ToolFormat::kQwen3Coder,
                                ToolFormat::kDeepSeekV3, ToolFormat::kDeepSeekV31,
                                ToolFormat::kLlama3,     ToolFormat::kMistral,
                                ToolFormat::kKimiK2};
  for (int round = 0; round < 2000; ++round) {
    AnswerSyntax syntax;
    syntax.reasoning = ReasoningFormat::kDeepSeekR1;
    syntax.start = ReasoningStart::kReasoning;
    syntax.tools = formats[random() % std::size(formats)];
    std::string text;
    for (std::size_t n = random() % 24; n > 0; --n) text += parts[random() % parts.size()];
    const std::string whole = parse_cut(syntax, text, {});
    std::vector<std::size_t> every;
    for (std::size_t i = 1; i < text.size(); ++i) every.push_back(i);
    EXPECT_EQ(parse_cut(syntax, text, every), whole) << text;
    if (text.empty()) continue;
    EXPECT_EQ(parse_cut(syntax, text, {random() % text.size()}), whole) << text;
  }
}

}  // namespace
}  // namespace bundle::chat
