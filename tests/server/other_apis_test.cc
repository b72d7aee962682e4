// The same engine behind OpenAI's responses, Anthropic's messages and Ollama's API.
#include <gtest/gtest.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

constexpr char kFox[] = "Hello world the quick brown fox jumps over the lazy dog";

/// A server whose model reasons, writes Hermes' tool calls, and says `answer`.
std::unique_ptr<TestServer> server_that_says(const std::string& answer) {
  auto server = std::make_unique<TestServer>([answer](const engine::Request&) {
    return Script{.tokens = ids_of(answer), .stop_token = ToyTokenizer::kEnd};
  });
  ServedModel model = toy_model();
  model.prompt_style.reasoning = chat::ReasoningFormat::kQwen3;
  model.tool_format = chat::ToolFormat::kHermes;
  server->http().set_model(std::move(model));
  return server;
}

constexpr char kReasonAndCall[] =
    "<think>Hello</think> the dog\n<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": "
    "1}}</tool_call>";

RawResponse send(const TestServer& server, const char* path, std::string_view body) {
  return server.exchange(post(path, body));
}

std::string prompt_of(TestServer& server) {
  return ToyTokenizer().decode(server.engine().requests().back().prompt, false);
}

/// Payloads of the events of one name.
std::vector<Json> events_named(const RawResponse& response, std::string_view type) {
  std::vector<Json> out;
  for (const std::string& event : response.events()) {
    const auto data = parse_json(event, "event");
    if (data && data->is_object() && data->at("type") == Json(type)) out.push_back(*data);
  }
  return out;
}

std::vector<Json> lines_of(const RawResponse& response) {
  std::vector<Json> out;
  std::string_view rest = response.body;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) out.push_back(*parse_json(rest.substr(0, end), "line"));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

TEST(Responses, AnswersInItsShape) {
  TestServer server;
  const Json body = send(server, "/v1/responses",
                         R"({"model":"toy","input":"hi","instructions":"be","metadata":{"a":"b"}})")
                        .json();
  EXPECT_EQ(body.at("object"), "response");
  EXPECT_EQ(body.at("status"), "completed");
  EXPECT_TRUE(body.at("id").as_string().starts_with("resp_"));
  EXPECT_EQ(body.at("instructions"), "be");
  EXPECT_EQ(body.at("metadata").at("a"), "b");
  const Json& item = body.at("output").at(0);
  EXPECT_EQ(item.at("type"), "message");
  EXPECT_EQ(item.at("content").at(0).at("text"), kFox);
  EXPECT_EQ(body.at("usage").at("output_tokens"), 12);
  EXPECT_EQ(prompt_of(server),
            "<s><|turn|>system\nbe<|end|><|turn|>user\nhi<|end|><|turn|>assistant\n");
}

TEST(Responses, ItemsAreReasoningTextAndCalls) {
  const auto server = server_that_says(kReasonAndCall);
  const Json body =
      send(*server, "/v1/responses",
           R"({"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],)"
           R"("tools":[{"type":"function","name":"f","parameters":{}}]})")
          .json();
  const Json& output = body.at("output");
  ASSERT_EQ(output.as_array().size(), 3U);
  EXPECT_EQ(output.at(0).at("content").at(0).at("text"), "Hello");
  EXPECT_EQ(output.at(1).at("content").at(0).at("text"), " the dog");
  EXPECT_EQ(output.at(2).at("type"), "function_call");
  EXPECT_EQ(output.at(2).at("arguments"), "{\"x\": 1}");
}

TEST(Responses, StreamsNamedEvents) {
  const auto server = server_that_says(kReasonAndCall);
  const RawResponse response =
      send(*server, "/v1/responses",
           R"({"input":"hi","stream":true,"tools":[{"type":"function","name":"f"}]})");
  EXPECT_EQ(events_named(response, "response.created").size(), 1U);
  EXPECT_EQ(events_named(response, "response.output_item.added").size(), 3U);
  EXPECT_EQ(events_named(response, "response.output_item.done").size(), 3U);
  std::string text;
  for (const Json& delta : events_named(response, "response.output_text.delta")) {
    text += delta.at("delta").as_string();
  }
  EXPECT_EQ(text, " the dog");
  const auto completed = events_named(response, "response.completed");
  ASSERT_EQ(completed.size(), 1U);
  EXPECT_EQ(completed[0].at("response").at("output").as_array().size(), 3U);
  std::int64_t sequence = 0;
  for (const std::string& event : response.events()) {
    EXPECT_EQ(parse_json(event, "event")->at("sequence_number"), sequence++);
  }
}

TEST(Responses, WhatItDoesNotKeepIsRefused) {
  TestServer server;
  const RawResponse response =
      send(server, "/v1/responses", R"({"input":"hi","previous_response_id":"resp_1"})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json().at("error").at("param"), "previous_response_id");
  EXPECT_EQ(send(server, "/v1/responses", R"({"input":5})").status, 400);
  EXPECT_EQ(send(server, "/v1/responses", R"({})").json().at("error").at("param"), "input");
}

TEST(Responses, AnOutputThatIsCutIsIncomplete) {
  TestServer server;
  const Json body = send(server, "/v1/responses", R"({"input":"hi","max_output_tokens":2})").json();
  EXPECT_EQ(body.at("status"), "incomplete");
  EXPECT_EQ(body.at("incomplete_details").at("reason"), "max_output_tokens");
}

TEST(Messages, AnswersInItsShape) {
  TestServer server;
  const Json body = send(server, "/v1/messages",
                         R"({"model":"toy","max_tokens":50,"system":"be","messages":[)"
                         R"({"role":"user","content":"hi"}]})")
                        .json();
  EXPECT_EQ(body.at("type"), "message");
  EXPECT_EQ(body.at("content").at(0).at("text"), kFox);
  EXPECT_EQ(body.at("stop_reason"), "end_turn");
  EXPECT_EQ(body.at("usage").at("output_tokens"), 12);
  EXPECT_EQ(prompt_of(server),
            "<s><|turn|>system\nbe<|end|><|turn|>user\nhi<|end|><|turn|>assistant\n");
}

TEST(Messages, BlocksAreThinkingTextAndToolUse) {
  const auto server = server_that_says(kReasonAndCall);
  const std::string request =
      R"({"max_tokens":500,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],)"
      R"("tools":[{"name":"f","input_schema":{"type":"object"}}])";
  const Json body = send(*server, "/v1/messages", request + "}").json();
  const Json& content = body.at("content");
  ASSERT_EQ(content.as_array().size(), 3U);
  EXPECT_EQ(content.at(0).at("thinking"), "Hello");
  EXPECT_EQ(content.at(1).at("text"), " the dog");
  EXPECT_EQ(content.at(2).at("input").at("x"), 1);
  EXPECT_EQ(body.at("stop_reason"), "tool_use");

  const RawResponse response = send(*server, "/v1/messages", request + R"(,"stream":true})");
  EXPECT_EQ(events_named(response, "message_start").size(), 1U);
  EXPECT_EQ(events_named(response, "content_block_start").size(), 3U);
  EXPECT_EQ(events_named(response, "content_block_stop").size(), 3U);
  EXPECT_EQ(events_named(response, "message_delta").at(0).at("delta").at("stop_reason"),
            "tool_use");
  EXPECT_EQ(events_named(response, "message_stop").size(), 1U);
  std::string input;
  for (const Json& delta : events_named(response, "content_block_delta")) {
    if (const Json* part = find(delta.at("delta"), "partial_json")) input += part->as_string();
  }
  EXPECT_EQ(input, "{\"x\": 1}");
}

TEST(Messages, ToolResultsComeBack) {
  TestServer server;
  const RawResponse response = send(
      server, "/v1/messages",
      R"({"max_tokens":5,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[)"
      R"({"type":"text","text":"b"},{"type":"tool_use","id":"1","name":"f","input":{}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"c"}]}]})");
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(prompt_of(server),
            "<s><|turn|>user\na<|end|><|turn|>assistant\nb<|end|><|turn|>tool\nc<|end|>"
            "<|turn|>assistant\n");
}

TEST(Messages, CountsTokensAndChecksFields) {
  TestServer server;
  const Json count =
      send(server, "/v1/messages/count_tokens", R"({"messages":[{"role":"user","content":"hi"}]})")
          .json();
  EXPECT_EQ(count.at("input_tokens"),
            ids_of("<s><|turn|>user\nhi<|end|><|turn|>assistant\n").size());
  for (const auto& [body, param] : std::vector<std::pair<const char*, const char*>>{
           {R"({"messages":[{"role":"user","content":"hi"}]})", "max_tokens"},
           {R"({"max_tokens":5})", "messages"},
           {R"({"max_tokens":5,"messages":[{"role":"king","content":"hi"}]})", "messages[0].role"},
           {R"({"max_tokens":5,"messages":[{"role":"user","content":[{"type":"image"}]}]})",
            "messages[0].content"}}) {
    const RawResponse response = send(server, "/v1/messages", body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(response.json().at("error").at("param"), param);
  }
}

TEST(Ollama, ChatStreamsLines) {
  const auto server = server_that_says(kReasonAndCall);
  const RawResponse response =
      send(*server, "/api/chat",
           R"({"model":"toy:latest","messages":[{"role":"user","content":"hi"}],"tools":[)"
           R"({"type":"function","function":{"name":"f"}}],"options":{"num_predict":500}})");
  EXPECT_EQ(response.field("content-type"), "application/x-ndjson");
  std::string text, thinking;
  const auto lines = lines_of(response);
  for (const Json& line : lines) {
    text += line.at("message").at("content").as_string();
    if (const Json* part = find(line.at("message"), "thinking")) thinking += part->as_string();
  }
  EXPECT_EQ(text, " the dog");
  EXPECT_EQ(thinking, "Hello");
  ASSERT_GE(lines.size(), 2U);
  const Json& calls = lines[lines.size() - 2].at("message").at("tool_calls");
  EXPECT_EQ(calls.at(0).at("function").at("arguments").at("x"), 1);
  EXPECT_EQ(lines.back().at("done"), true);
  EXPECT_EQ(lines.back().at("done_reason"), "stop");
  EXPECT_GT(lines.back().at("eval_count").as_int64(), 0);
}

TEST(Ollama, GenerateAnswersWhole) {
  TestServer server;
  const Json body = send(server, "/api/generate",
                         R"({"model":"toy","prompt":"hi","system":"be","stream":false,)"
                         R"("format":"json","options":{"temperature":0,"stop":["zz"]}})")
                        .json();
  EXPECT_EQ(body.at("response"), kFox);
  EXPECT_EQ(body.at("done"), true);
  EXPECT_GT(body.at("prompt_eval_duration").as_int64(), 0);
  EXPECT_GE(body.at("total_duration").as_int64(),
            body.at("prompt_eval_duration").as_int64() + body.at("eval_duration").as_int64());
  EXPECT_FALSE(server.engine().requests().back().sampling.constraint.empty());
  EXPECT_EQ(prompt_of(server),
            "<s><|turn|>system\nbe<|end|><|turn|>user\nhi<|end|><|turn|>assistant\n");
}

TEST(Ollama, TagsNameTheModel) {
  TestServer server;
  const Json body = server.exchange(get("/api/tags")).json();
  EXPECT_EQ(body.at("models").at(0).at("name"), "toy:latest");
  EXPECT_EQ(server.exchange(get("/api/version")).status, 200);
  EXPECT_EQ(send(server, "/api/chat", R"({"model":"other","messages":[]})").status, 404);
  EXPECT_EQ(send(server, "/api/generate", R"({"prompt":"a","images":["x"]})").status, 400);
}

TEST(TokenizerInfo, HasTheSpecialTokens) {
  TestServer server;
  const Json body = server.exchange(get("/tokenizer_info")).json();
  EXPECT_EQ(body.at("eos_token"), "</s>");
  EXPECT_TRUE(body.at("pad_token").is_null());
  EXPECT_EQ(body.at("vocab_size"), ToyTokenizer().vocab_size());
}

TEST(OpenApi, DescribesEveryRoute) {
  TestServer server;
  const Json document = server.exchange(get("/openapi.json")).json();
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  for (const auto& [path, operations] : document.at("paths").as_object()) {
    for (const auto& [method, operation] : operations.as_object()) {
      const std::string concrete = path == "/v1/models/{id}" ? "/v1/models/toy" : std::string(path);
      const RawResponse response =
          server.exchange(method == "get" ? get(concrete) : post(concrete, "{\"unknown\":1}"));
      EXPECT_NE(response.status, 404) << path;
      EXPECT_NE(response.status, 405) << path;
      EXPECT_LT(response.status, 500) << path;
      EXPECT_TRUE(find(operation.at("responses"), std::to_string(response.status)) != nullptr)
          << path << " answered " << response.status;
    }
  }
}

}  // namespace
}  // namespace bundle::server
