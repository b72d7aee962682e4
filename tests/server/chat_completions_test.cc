#include <gtest/gtest.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

constexpr char kFox[] = "Hello world the quick brown fox jumps over the lazy dog";

TEST(ChatCompletions, AnswersInOpenAIsShape) {
  TestServer server;
  const RawResponse response = server.chat("");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.field("content-type"), "application/json");
  const Json body = response.json();
  EXPECT_EQ(body.at("object"), "chat.completion");
  EXPECT_TRUE(body.at("id").as_string().starts_with("chatcmpl-"));
  EXPECT_EQ(body.at("model"), "toy");
  EXPECT_EQ(body.at("system_fingerprint"), "fp_0123456789ab");
  const Json& choice = body.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), kFox);
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  const Json& usage = body.at("usage");
  const auto prompt = ids_of("<s><|turn|>user\nhi<|end|><|turn|>assistant\n");
  EXPECT_EQ(usage.at("prompt_tokens"), prompt.size());
  EXPECT_EQ(usage.at("completion_tokens"), 12);  // eleven words and the end token
  EXPECT_EQ(usage.at("total_tokens"), prompt.size() + 12);
  EXPECT_EQ(server.engine().requests().at(0).prompt, prompt);
}

TEST(ChatCompletions, StreamsTheSameText) {
  TestServer server;
  const RawResponse response = server.chat(R"("stream":true)");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.field("content-type"), "text/event-stream; charset=utf-8");
  const auto events = response.events();
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text;
  Json first = *parse_json(events[0], "event");
  EXPECT_EQ(first.at("choices").at(0).at("delta").at("role"), "assistant");
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = *parse_json(events[i], "event");
    EXPECT_EQ(event.at("object"), "chat.completion.chunk");
    EXPECT_EQ(event.at("id"), first.at("id"));
    EXPECT_EQ(event.at("created"), first.at("created"));
    EXPECT_EQ(find(event, "usage"), nullptr);
    const Json& choice = event.at("choices").at(0);
    if (const Json* piece = find(choice.at("delta"), "content")) text += piece->as_string();
    const bool last = i + 2 == events.size();
    EXPECT_EQ(choice.at("finish_reason"), last ? Json("stop") : Json());
  }
  EXPECT_EQ(text, kFox);
}

}  // namespace
}  // namespace bundle::server
