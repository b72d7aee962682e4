#include "runtime/chat/conversation.h"

#include <gtest/gtest.h>

#include "runtime/chat/template_source.h"
#include "tests/chat/render.h"

namespace bundle::chat {
namespace {

Json json(std::string_view text) { return *parse_json(text, "test"); }

std::string context(std::string_view request) {
  const auto result = template_context(json(request), {{{"bos_token", "<s>"}}});
  return result.has_value() ? print_json(*result) : "ERROR " + result.error().message();
}

std::string messages(std::string_view list) {
  const auto result = template_context(json(R"({"messages": )" + std::string(list) + "}"), {});
  if (result.has_error()) return "ERROR " + result.error().message();
  return print_json(*find(*result, "messages"));
}

TEST(Conversation, BuildsTheContext) {
  EXPECT_EQ(context(R"({"messages": [{"role": "user", "content": "a"}]})"),
            R"({"bos_token":"<s>","tools":null,"documents":null,)"
            R"("messages":[{"role":"user","content":"a"}],"add_generation_prompt":true})");
  EXPECT_EQ(context(R"({"messages": [{"role": "user", "content": "a"}], "tools": [{"x": 1}],
                        "add_generation_prompt": false, "reasoning_effort": "low",
                        "chat_template_kwargs": {"enable_thinking": false, "bos_token": ""}})"),
            R"({"bos_token":"","tools":[{"x":1}],"documents":null,"reasoning_effort":"low",)"
            R"("enable_thinking":false,"messages":[{"role":"user","content":"a"}],)"
            R"("add_generation_prompt":false})");
}

TEST(Conversation, NormalizesMessages) {
  EXPECT_EQ(messages(R"([{"role": "developer", "content": "a"}])"),
            R"([{"role":"system","content":"a"}])");
  EXPECT_EQ(messages(R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                      {"type": "text", "text": "b"}]}])"),
            R"([{"role":"user","content":"a\nb"}])");
  EXPECT_EQ(messages(R"([{"role": "assistant", "content": null, "reasoning": "r"}])"),
            R"([{"role":"assistant","content":null,"reasoning":"r","reasoning_content":"r",)"
            R"("thinking":"r"}])");
}

TEST(Conversation, ParsesArgumentsOfToolCalls) {
  EXPECT_EQ(messages(R"([{"role": "assistant", "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": "{\"x\": [1]}"}},
                {"id": "2", "function": {"name": "g", "arguments": "[1]"}},
                {"id": "3", "function": {"name": "h", "arguments": "no json"}}]}])"),
            R"([{"role":"assistant","tool_calls":[)"
            R"({"id":"1","function":{"name":"f","arguments":{"x":[1]}}},)"
            R"({"id":"2","function":{"name":"g","arguments":"[1]"}},)"
            R"({"id":"3","function":{"name":"h","arguments":"no json"}}],"content":null}])");
}

TEST(Conversation, RefusesBadMessages) {
  EXPECT_EQ(messages("[]"), "ERROR messages is empty (messages)");
  EXPECT_EQ(messages("5"), "ERROR messages is not an array (messages)");
  EXPECT_EQ(messages("[5]"), "ERROR a message is not an object (messages[0])");
  EXPECT_EQ(messages(R"([{"role": "user", "content": "a"}, {"content": "a"}])"),
            "ERROR a message has no role (messages[1].role). "
            "Give it one of system, user, assistant and tool.");
  EXPECT_EQ(messages(R"([{"role": "user"}])"), "ERROR a message has no content (messages[0])");
  EXPECT_EQ(messages(R"([{"role": "user", "content": 5}])"),
            "ERROR content is neither a string nor an array of parts (messages[0].content)");
  EXPECT_EQ(messages(R"([{"role": "user", "content": [{"type": "image_url"}]}])"),
            "ERROR this model takes text only (messages[0].content[0]). "
            "Leave out the part of type 'image_url'.");
  EXPECT_EQ(messages(R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])"),
            "ERROR a tool call's function has no name (messages[0].tool_calls[0].function)");
}

TEST(Conversation, RefusesBadRequests) {
  const std::string user = R"("messages": [{"role": "user", "content": "a"}])";
  for (const char* extra :
       {R"("tools": 5)", R"("tools": [5])", R"("chat_template_kwargs": [])",
        R"("chat_template_kwargs": {"messages": []})", R"("add_generation_prompt": "yes")",
        R"("continue_final_message": true, "add_generation_prompt": true)",
        R"("continue_final_message": 1)"}) {
    EXPECT_EQ(context("{" + user + ", " + extra + "}").substr(0, 5), "ERROR") << extra;
  }
  EXPECT_EQ(context("{}"), "ERROR messages is missing (messages)");
  EXPECT_EQ(context("[]").substr(0, 5), "ERROR");
}

constexpr const char* kPlain =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

std::string prompt(std::string_view source, std::string_view request) {
  const auto parsed = ChatTemplate::parse(source, "test");
  const auto text = render_conversation(*parsed, json(request), {}, kTestNow);
  return text.has_value() ? *text : "ERROR " + text.error().message();
}

TEST(Conversation, RendersAndContinues) {
  const std::string both =
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b c "}])";
  EXPECT_EQ(prompt(kPlain, "{" + both + "}"), "[user]a</s>[assistant]b c </s>[assistant]");
  EXPECT_EQ(prompt(kPlain, "{" + both + R"(, "continue_final_message": true})"),
            "[user]a</s>[assistant]b c ");
  EXPECT_EQ(prompt("{{ messages[-1].content | trim }}!",
                   "{" + both + R"(, "continue_final_message": true})"),
            "b c");
  EXPECT_EQ(prompt("{{ messages[0].content }}", "{" + both + R"(, "continue_final_message": true})")
                .substr(0, 5),
            "ERROR");
}

TEST(Conversation, ContinuesReasoning) {
  EXPECT_EQ(prompt("<think>{{ messages[-1].thinking }}</think>",
                   R"({"messages": [{"role": "assistant", "reasoning_content": "so far"}],
                       "continue_final_message": "reasoning_content"})"),
            "<think>so far");
  EXPECT_EQ(prompt(kPlain, R"({"messages": [{"role": "assistant", "content": null}],
                               "continue_final_message": true})")
                .substr(0, 5),
            "ERROR");
}

TEST(Conversation, NoContentIsAnEmptyOneForTemplatesThatJoinIt) {
  const std::string calls = R"({"messages": [{"role": "assistant", "content": null, "tool_calls": [
      {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]})";
  const std::string absent = R"({"messages": [{"role": "assistant"}]})";
  constexpr const char* kJoins = "{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}";
  EXPECT_EQ(prompt(kJoins, calls), "<>");
  EXPECT_EQ(prompt(kJoins, absent), "<>");
  EXPECT_EQ(prompt("{{ messages[0].content is none }}", calls), "True");
  EXPECT_NE(prompt("{{ messages[0].content + 1 }}", calls).find("NoneType"), std::string::npos);
}

TEST(Conversation, ArgumentsAreTextForTemplatesThatJoinThem) {
  constexpr const char* kR1 =
      "{% for m in messages %}{% if m.content is none %}{{ '[' + m.tool_calls[0].function.name + "
      "':' + "
      "m.tool_calls[0].function.arguments + ']' }}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  constexpr const char* kJson =
      "{% for m in messages %}{{ m.tool_calls[0].function.arguments | tojson }}{% endfor %}";
  for (const char* content : {R"("content": null, )", ""}) {
    const std::string calls = R"({"messages": [{"role": "assistant", )" + std::string(content) +
                              R"("tool_calls": [{"id": "a", "type": "function", "function":
                              {"name": "f", "arguments": "{\"city\": \"Paris\"}"}}]}]})";
    EXPECT_EQ(prompt(kR1, calls), R"([f:{"city": "Paris"}])");
    EXPECT_EQ(prompt(kJson, calls), R"({"city": "Paris"})");
  }
}

TEST(Conversation, ReadsSpecialTokens) {
  const auto variables = template_variables(
      json(R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null})"));
  ASSERT_EQ(variables.special_tokens.size(), 2u);
  EXPECT_EQ(variables.special_tokens[0], (std::pair<std::string, std::string>("bos_token", "<s>")));
  EXPECT_EQ(variables.special_tokens[1],
            (std::pair<std::string, std::string>("eos_token", "</s>")));
}

TEST(TemplateSource, ChoosesByNameAndPlace) {
  const Json list = json(R"([{"name": "default", "template": "d"},
                             {"name": "tool_use", "template": "t"}])");
  EXPECT_EQ(*choose_template(list, false, "f"), "d");
  EXPECT_EQ(*choose_template(list, true, "f"), "t");
  EXPECT_EQ(*choose_template(json(R"("x")"), true, "f"), "x");
  EXPECT_TRUE(
      choose_template(json(R"([{"name": "rag", "template": "r"}])"), true, "f").has_error());
  EXPECT_TRUE(choose_template(json("5"), true, "f").has_error());
  EXPECT_TRUE(choose_template(json(R"([{"name": "default"}])"), true, "f").has_error());
}

TEST(TemplateSource, PrefersTheFileOfItsOwn) {
  TemplateFiles files;
  EXPECT_EQ(find_template(files, false).error().code, ErrorCode::kNotFound);
  files.gguf = {{"default", "g"}, {"tool_use", "gt"}};
  EXPECT_EQ(*find_template(files, true), "gt");
  files.tokenizer_config = json(R"({"chat_template": null})");
  EXPECT_EQ(*find_template(files, false), "g");
  files.tokenizer_config = json(R"({"chat_template": "c"})");
  EXPECT_EQ(*find_template(files, false), "c");
  files.json = json(R"({"chat_template": "j"})");
  EXPECT_EQ(*find_template(files, false), "j");
  files.jinja = "f";
  EXPECT_EQ(*find_template(files, true), "f");
}

}  // namespace
}  // namespace bundle::chat
