#include "runtime/chat/prompt.h"

#include <gtest/gtest.h>

#include "runtime/chat/answer_format_names.h"

namespace bundle::chat {
namespace {

/// Templates of the families' kinds, each no longer than its rules.
constexpr char kR1[] =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% elif m.role == 'assistant' and m.content is not none %}{% set c = m.content %}"
    "{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}<｜Assistant｜>{{ c }}"
    "<｜end▁of▁sentence｜>{% elif m.role == 'tool' %}<｜tool▁outputs▁begin｜>{{ m.content }}"
    "<｜tool▁outputs▁end｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt and messages[-1].role != 'tool' %}<｜Assistant｜>TAG{% endif %}";
constexpr char kV31[] =
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% else %}<｜Assistant｜>"
    "{% if m.prefix and thinking %}<think>{% else %}<think></think>{% endif %}{{ m.content }}"
    "<｜end▁of▁sentence｜>{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>"
    "{% if thinking %}<think>{% else %}<think></think>{% endif %}{% endif %}";
constexpr char kQwen3[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}";

std::string r1_template(std::string_view tag) {
  std::string source = kR1;
  return source.replace(source.find("TAG"), 3, tag);
}

std::string name(ReasoningStart start) {
  return start == ReasoningStart::kContent     ? "content"
         : start == ReasoningStart::kUndecided ? "undecided"
                                               : "reasoning";
}

/// The prompt, and after "|" where its answer begins.
std::string prompt(std::string_view source, std::string_view request,
                   std::optional<bool> thinking = {}) {
  const auto parsed = ChatTemplate::parse(source, "test");
  EXPECT_TRUE(parsed) << parsed.error().message();
  const PromptStyle style{reasoning_format("auto", source), thinking};
  const auto made = make_prompt(*parsed, *parse_json(request, "request"), {}, style, 0);
  return made ? made->text + "|" + name(made->start) : "ERROR " + made.error().message();
}

std::string hi(std::string_view more = {}) {
  return R"({"messages":[{"role":"user","content":"hi"}])" + std::string(more) + "}";
}

TEST(Prompt, TheTemplateOfR1OpensTheReasoning) {
  const std::string source = r1_template("<think>\n");
  EXPECT_EQ(prompt(source, hi()), "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
  EXPECT_EQ(prompt(source, hi(), true), "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
}

TEST(Prompt, AnOlderTemplateOfR1IsHelped) {
  const std::string source = r1_template("");
  EXPECT_EQ(prompt(source, hi(), true), "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
  EXPECT_EQ(prompt(source, hi()), "<｜User｜>hi<｜Assistant｜>|reasoning");
}

TEST(Prompt, TheForcedTagCanBeTurnedOff) {
  const std::string source = r1_template("<think>\n");
  const std::string bare = "<｜User｜>hi<｜Assistant｜>|undecided";
  EXPECT_EQ(prompt(source, hi(), false), bare);
  EXPECT_EQ(prompt(source, hi(R"(,"reasoning_effort":"none")")), bare);
  EXPECT_EQ(prompt(source, hi(R"(,"thinking":{"type":"disabled"})")), bare);
  // The template's arguments are the template's alone.
  EXPECT_EQ(prompt(source, hi(R"(,"chat_template_kwargs":{"enable_thinking":false})")),
            "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
  // To ask for what the bundle does anyway takes nothing away.
  EXPECT_EQ(
      prompt(r1_template(""), hi(R"(,"chat_template_kwargs":{"enable_thinking":true})"), true),
      "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
  EXPECT_EQ(prompt(source, hi(R"(,"thinking":{"type":"enabled"})"), false),
            "<｜User｜>hi<｜Assistant｜><think>\n|reasoning");
}

TEST(Prompt, R1AnswersToolsWithoutTheTag) {
  EXPECT_EQ(prompt(r1_template("<think>\n"),
                   R"({"messages":[{"role":"user","content":"hi"},{"role":"tool","content":"3"}]})",
                   true),
            "<｜User｜>hi<｜tool▁outputs▁begin｜>3<｜tool▁outputs▁end｜>|undecided");
}

TEST(Prompt, HistoryLosesItsReasoning) {
  EXPECT_EQ(
      prompt(r1_template("<think>\n"),
             R"({"messages":[{"role":"user","content":"a"},{"role":"assistant",)"
             R"("content":"<think>secret</think>\n\nb"},{"role":"user","content":"c"}]})"),
      "<｜User｜>a<｜Assistant｜>\n\nb<｜end▁of▁sentence｜><｜User｜>c<｜Assistant｜><think>\n"
      "|reasoning");
}

TEST(Prompt, V31HasASwitch) {
  EXPECT_EQ(prompt(kV31, hi()), "<｜User｜>hi<｜Assistant｜><think></think>|content");
  const std::string on = "<｜User｜>hi<｜Assistant｜><think>|reasoning";
  EXPECT_EQ(prompt(kV31, hi(), true), on);
  EXPECT_EQ(prompt(kV31, hi(R"(,"thinking":{"type":"enabled"})")), on);
  EXPECT_EQ(prompt(kV31, hi(R"(,"reasoning_effort":"high")")), on);
  EXPECT_EQ(prompt(kV31, hi(R"(,"chat_template_kwargs":{"thinking":true})")), on);
  EXPECT_EQ(prompt(kV31, hi(R"(,"chat_template_kwargs":{"thinking":false})"), true),
            "<｜User｜>hi<｜Assistant｜><think></think>|content");
}

TEST(Prompt, Qwen3DecidesItself) {
  EXPECT_EQ(prompt(kQwen3, hi()),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n|undecided");
  EXPECT_EQ(
      prompt(kQwen3, hi(), false),
      "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n|content");
}

TEST(Prompt, ATagThatAUserWroteOpensNothing) {
  EXPECT_EQ(prompt(kQwen3, R"({"messages":[{"role":"user","content":"say <think>"}]})"),
            "<|im_start|>user\nsay <think><|im_end|>\n<|im_start|>assistant\n|undecided");
  EXPECT_EQ(prompt(kQwen3, R"({"messages":[{"role":"user","content":"say <think>"},)"
                           R"({"role":"assistant","content":"OK","prefix":true}]})"),
            "<|im_start|>user\nsay <think><|im_end|>\n<|im_start|>assistant\nOK|content");
}

TEST(Prompt, APrefixIsContinued) {
  const std::string request =
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"So","prefix":)"
      R"(true}]})";
  EXPECT_EQ(prompt(kV31, request), "<｜User｜>hi<｜Assistant｜><think></think>So|content");
  EXPECT_EQ(prompt(kV31, request, true), "<｜User｜>hi<｜Assistant｜><think>So|reasoning");
  EXPECT_EQ(prompt(r1_template("<think>\n"), request, true),
            "<｜User｜>hi<｜Assistant｜>So|content");
  EXPECT_EQ(prompt(kQwen3, R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant",)"
                           R"("content":"<think>\nwell"}],"continue_final_message":true})"),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\nwell|reasoning");
}

TEST(Prompt, APrefixThatCanNotBeContinuedIsRefusedByItsName) {
  const std::string hides =
      "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}"
      "{% endif %}{% endfor %}";
  const auto ask = [](const char* more, const char* text) {
    return R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":)" +
           std::string(text) + R"(,"prefix":true}])" + more + "}";
  };
  const std::string hidden = prompt(hides, ask("", R"("So")"));
  EXPECT_TRUE(hidden.starts_with("ERROR ")) << hidden;
  EXPECT_NE(hidden.find("messages[1].prefix"), std::string::npos) << hidden;
  EXPECT_EQ(hidden.find("continue_final_message"), std::string::npos) << hidden;
  const std::string both = prompt(kV31, ask(R"(,"add_generation_prompt":true)", R"("So")"));
  EXPECT_NE(both.find("prefix and add_generation_prompt exclude each other"), std::string::npos)
      << both;
  // Who asked in the other words is answered in them.
  const std::string other = prompt(hides, ask(R"(,"continue_final_message":true)", R"("So")"));
  EXPECT_NE(other.find("continue_final_message"), std::string::npos) << other;
}

TEST(Prompt, SwitchesAreChecked) {
  for (const char* bad : {R"(,"thinking":true)", R"(,"thinking":{"type":"maybe"})",
                          R"(,"reasoning_effort":"enormous")", R"(,"reasoning_effort":3)",
                          R"(,"chat_template_kwargs":5)"}) {
    EXPECT_TRUE(prompt(kQwen3, hi(bad)).starts_with("ERROR ")) << bad;
  }
}

TEST(Prompt, FormatsAreFoundInTemplates) {
  EXPECT_EQ(reasoning_format("auto", r1_template("")), ReasoningFormat::kDeepSeekR1);
  EXPECT_EQ(reasoning_format("auto", kV31), ReasoningFormat::kDeepSeekV3);
  EXPECT_EQ(reasoning_format("auto", kQwen3), ReasoningFormat::kQwen3);
  EXPECT_EQ(reasoning_format("auto", "{{ messages }}"), ReasoningFormat::kNone);
  EXPECT_EQ(reasoning_format("none", kQwen3), ReasoningFormat::kNone);
  EXPECT_EQ(tool_format("auto", "'<｜tool▁calls▁begin｜>' ```json"), ToolFormat::kDeepSeekV3);
  EXPECT_EQ(tool_format("auto", "'<｜tool▁calls▁begin｜>'"), ToolFormat::kDeepSeekV31);
  EXPECT_EQ(tool_format("auto", "<tool_call>\n{\"name\""), ToolFormat::kHermes);
  EXPECT_EQ(tool_format("auto", "<tool_call>\n<function="), ToolFormat::kQwen3Coder);
  EXPECT_EQ(tool_format("auto", "<|python_tag|>"), ToolFormat::kLlama3);
  EXPECT_EQ(tool_format("auto", "[TOOL_CALLS]"), ToolFormat::kMistral);
  EXPECT_EQ(tool_format("hermes", "[TOOL_CALLS]"), ToolFormat::kHermes);
  EXPECT_EQ(tool_format("auto", ""), ToolFormat::kNone);
}

}  // namespace
}  // namespace bundle::chat
