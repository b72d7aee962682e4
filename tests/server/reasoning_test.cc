// Reasoning and tool calls over HTTP, with a model of toys that writes what a test says.
#include <gtest/gtest.h>

#include "runtime/chat/answer_format_names.h"
#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

constexpr char kTemplate[] =
    "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n<think>\n{% endif %}";

/// A server whose model reasons, writes Hermes' tool calls, and says `answer`, byte for byte.
std::unique_ptr<TestServer> server_that_says(const std::string& answer) {
  auto server = std::make_unique<TestServer>([answer](const engine::Request&) {
    return Script{.tokens = ids_of(answer), .stop_token = ToyTokenizer::kEnd};
  });
  ServedModel model = toy_model();
  model.chat_template = *chat::ChatTemplate::parse(kTemplate, "test");
  model.prompt_style.reasoning = chat::ReasoningFormat::kDeepSeekR1;
  model.tool_format = chat::ToolFormat::kHermes;
  server->http().set_model(std::move(model));
  return server;
}

struct Streamed {
  std::string reasoning, content, finish;
  std::vector<std::string> names, arguments, ids;
};

/// Joins a stream as clients do, and fails where a chunk has two kinds of text.
Streamed join(const RawResponse& response) {
  Streamed out;
  for (const std::string& event : response.events()) {
    if (event == "[DONE]") break;
    const Json chunk = *parse_json(event, "event");
    const Json& choice = chunk.at("choices").at(0);
    const JsonObject& delta = choice.at("delta").as_object();
    EXPECT_LE(delta.contains("reasoning_content") + delta.contains("content") +
                  delta.contains("tool_calls"),
              1)
        << event;
    if (const Json* text = delta.if_contains("reasoning_content")) {
      out.reasoning += text->as_string();
      EXPECT_EQ(delta.at("reasoning"), *text);
    }
    if (const Json* text = delta.if_contains("content")) out.content += text->as_string();
    if (const Json* calls = delta.if_contains("tool_calls")) {
      const Json& call = calls->at(0);
      const auto index = static_cast<std::size_t>(call.at("index").as_int64());
      if (call.as_object().contains("id")) {
        EXPECT_EQ(index, out.names.size());
        EXPECT_EQ(call.at("type"), "function");
        out.ids.emplace_back(call.at("id").as_string());
        out.names.emplace_back(call.at("function").at("name").as_string());
        out.arguments.emplace_back();
      }
      out.arguments.at(index) += call.at("function").at("arguments").as_string();
    }
    if (choice.at("finish_reason").is_string()) {
      EXPECT_EQ(out.finish, "");
      out.finish = choice.at("finish_reason").as_string();
    }
  }
  return out;
}

constexpr char kTools[] =
    R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";

TEST(ReasoningOverHttp, IsAFieldOfItsOwn) {
  const auto server = server_that_says("Hello world</think>\n\n the lazy dog");
  const Json body = server->chat("").json();
  const Json& message = body.at("choices").at(0).at("message");
  EXPECT_EQ(message.at("reasoning_content"), "Hello world");
  EXPECT_EQ(message.at("reasoning"), "Hello world");
  EXPECT_EQ(message.at("content"), "\n\n the lazy dog");
  EXPECT_EQ(body.at("usage").at("completion_tokens_details").at("reasoning_tokens"), 2);
}

TEST(ReasoningOverHttp, StreamsOneKindOfTextAChunk) {
  const auto server = server_that_says("Hello world</think>\n\n the lazy dog");
  const Streamed streamed = join(server->chat(R"("stream":true)"));
  EXPECT_EQ(streamed.reasoning, "Hello world");
  EXPECT_EQ(streamed.content, "\n\n the lazy dog");
  EXPECT_EQ(streamed.finish, "stop");
}

TEST(ReasoningOverHttp, ContentIsNullWhenThereIsNone) {
  for (const char* answer : {"Hello world", "Hello world</think>"}) {
    const Json body = server_that_says(answer)->chat("").json();
    const Json& message = body.at("choices").at(0).at("message");
    EXPECT_TRUE(message.at("content").is_null()) << answer;
    EXPECT_EQ(message.at("reasoning_content"), "Hello world");
  }
}

TEST(ReasoningOverHttp, MayBeLeftOutOrNotSplit) {
  const auto server = server_that_says("Hello</think> dog");
  const auto message = [&](const char* fields) {
    return server->chat(fields).json().at("choices").at(0).at("message").as_object();
  };
  const JsonObject hidden = message(R"("include_reasoning":false)");
  EXPECT_EQ(hidden.at("content"), " dog");
  EXPECT_FALSE(hidden.contains("reasoning_content"));
  for (const char* raw : {R"("separate_reasoning":false)", R"("reasoning_format":"none")"}) {
    EXPECT_EQ(message(raw).at("content"), "Hello</think> dog") << raw;
  }
}

TEST(ReasoningOverHttp, AnAnswerThatWasAllReasoningHasNoContent) {
  const auto message = [](const std::string& answer) {
    const auto server = server_that_says(answer);
    return server->chat(R"("include_reasoning":false)")
        .json()
        .at("choices")
        .at(0)
        .at("message")
        .as_object();
  };
  for (const char* answer : {"Hello world", "Hello world</think>"}) {
    EXPECT_TRUE(message(answer).at("content").is_null()) << answer;
    EXPECT_FALSE(message(answer).contains("reasoning_content")) << answer;
  }
  EXPECT_EQ(message("").at("content"), "");
}

TEST(ReasoningOverHttp, CanBeSwitchedOff) {
  const auto server = server_that_says(" dog");
  const RawResponse response = server->chat(R"("thinking":{"type":"disabled"})");
  EXPECT_EQ(response.json().at("choices").at(0).at("message").at("content"), " dog");
  const std::string prompt =
      ToyTokenizer().decode(server->engine().requests().back().prompt, false);
  EXPECT_EQ(prompt, "<|turn|>user\nhi<|end|><|turn|>assistant\n");
  EXPECT_EQ(server->chat(R"("thinking":5)").json().at("error").at("param"), "thinking");
}

TEST(ReasoningOverHttp, StopsCountInReasoningToo) {
  const auto server = server_that_says("Hello world</think> dog");
  const Json body = server->chat(R"("stop":" world")").json();
  EXPECT_EQ(body.at("choices").at(0).at("message").at("reasoning_content"), "Hello");
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "stop");
}

TEST(ToolsOverHttp, CallsAreNoContent) {
  const auto server = server_that_says(
      "Hello</think><tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>");
  const Json body = server->chat(kTools).json();
  const Json& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_TRUE(choice.at("message").at("content").is_null());
  const Json& call = choice.at("message").at("tool_calls").at(0);
  EXPECT_EQ(call.at("type"), "function");
  EXPECT_EQ(call.at("function").at("name"), "f");
  EXPECT_EQ(call.at("function").at("arguments"), "{\"x\": 1}");
  EXPECT_FALSE(call.at("id").as_string().empty());
}

TEST(ToolsOverHttp, StreamsInDeltas) {
  const auto server = server_that_says(
      "Hello</think> the dog\n<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>\n"
      "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>");
  const Streamed streamed = join(server->chat(std::string(kTools) + R"(,"stream":true)"));
  EXPECT_EQ(streamed.reasoning, "Hello");
  EXPECT_EQ(streamed.content, " the dog");
  EXPECT_EQ(streamed.names, (std::vector<std::string>{"f", "g"}));
  EXPECT_EQ(streamed.arguments, (std::vector<std::string>{"{\"x\": 1}", "{}"}));
  EXPECT_NE(streamed.ids.at(0), streamed.ids.at(1));
  EXPECT_EQ(streamed.finish, "tool_calls");
}

TEST(ToolsOverHttp, OneCallIsAllWhenTheyMayNotBeParallel) {
  const auto server = server_that_says(
      "Hello</think><tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"
      "<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>");
  const Json body = server->chat(std::string(kTools) + R"(,"parallel_tool_calls":false)").json();
  EXPECT_EQ(body.at("choices").at(0).at("message").at("tool_calls").as_array().size(), 1U);
  EXPECT_EQ(body.at("choices").at(0).at("finish_reason"), "tool_calls");
}

TEST(ToolsOverHttp, WithoutToolsTheTextIsText) {
  const auto server = server_that_says("Hello</think><tool_call>{}");
  for (const std::string& fields :
       {std::string(), kTools + std::string(R"(,"tool_choice":"none")")}) {
    const Json body = server->chat(fields).json();
    EXPECT_EQ(body.at("choices").at(0).at("message").at("content"), "<tool_call>{}");
  }
}

}  // namespace
}  // namespace bundle::server
