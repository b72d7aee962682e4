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
  EXPECT_EQ(body.at("system_fingerprint"), "sha256:0123456789abcdef0123456789abcdef");
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

/// The text of choice `index` of a stream.
std::string streamed(const RawResponse& response, std::int64_t index = 0) {
  std::string text;
  for (const std::string& event : response.events()) {
    if (event == "[DONE]") break;
    const Json parsed = *parse_json(event, "event");
    for (const Json& choice : parsed.at("choices").as_array()) {
      const Json* piece = find(choice.at("delta"), "content");
      if (choice.at("index") == index && piece != nullptr) text += piece->as_string();
    }
  }
  return text;
}

TEST(ChatCompletions, UsageComesWhenAskedFor) {
  TestServer server([](const engine::Request&) {
    return Script{.tokens = ids_of("Hello"), .stop_token = 257, .cached_tokens = 8};
  });
  const auto events =
      server.chat(R"("stream":true,"stream_options":{"include_usage":true})").events();
  const Json last = *parse_json(events.at(events.size() - 2), "event");
  EXPECT_TRUE(last.at("choices").as_array().empty());
  const Json& usage = last.at("usage");
  EXPECT_EQ(usage.at("prompt_tokens_details").at("cached_tokens"), 8);
  EXPECT_EQ(usage.at("prompt_cache_hit_tokens"), 8);
  EXPECT_EQ(usage.at("prompt_cache_hit_tokens").as_int64() +
                usage.at("prompt_cache_miss_tokens").as_int64(),
            usage.at("prompt_tokens").as_int64());
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    EXPECT_TRUE(parse_json(events[i], "event")->at("usage").is_null());
  }
  const auto every =
      server.chat(R"("stream":true,"stream_options":{"continuous_usage_stats":true})");
  EXPECT_TRUE(parse_json(every.events().at(1), "event")->at("usage").is_object());
}

TEST(ChatCompletions, SeveralChoicesHaveTheirOwnSeeds) {
  TestServer server;
  const RawResponse whole = server.chat(R"("n":3,"seed":7)");
  ASSERT_EQ(whole.json().at("choices").as_array().size(), 3u);
  EXPECT_EQ(whole.json().at("choices").at(2).at("index"), 2);
  const auto requests = server.engine().requests();
  EXPECT_EQ(requests[0].sampling.seed, 7u);
  EXPECT_EQ(requests[2].sampling.seed, 9u);
  const RawResponse stream = server.chat(R"("n":2,"stream":true)");
  EXPECT_EQ(streamed(stream, 0), kFox);
  EXPECT_EQ(streamed(stream, 1), kFox);
}

TEST(ChatCompletions, LogprobsInTheChatShape) {
  TestServer server;
  const Json choice =
      server.chat(R"("logprobs":true,"top_logprobs":2,"max_tokens":2)").json().at("choices").at(0);
  const Json& content = choice.at("logprobs").at("content");
  ASSERT_EQ(content.as_array().size(), 2u);
  const Json& token = content.at(1);
  EXPECT_EQ(token.at("token"), " world");
  EXPECT_EQ(token.at("logprob"), -0.5);
  EXPECT_EQ(token.at("bytes"), Json({32, 119, 111, 114, 108, 100}));
  ASSERT_EQ(token.at("top_logprobs").as_array().size(), 2u);
  EXPECT_EQ(token.at("top_logprobs").at(1).at("token"), " the");
  EXPECT_EQ(server.engine().requests().at(0).sampling.logprobs, 2);
  const Json none = server.chat(R"("logprobs":true,"max_tokens":1)").json();
  EXPECT_TRUE(none.at("choices")
                  .at(0)
                  .at("logprobs")
                  .at("content")
                  .at(0)
                  .at("top_logprobs")
                  .as_array()
                  .empty());
}

TEST(ChatCompletions, StopsAtStringsAcrossTokens) {
  TestServer server;
  const RawResponse whole = server.chat(R"("stop":["wn fox ju","zzz"])");
  const Json choice = whole.json().at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("content"), "Hello world the quick bro");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_EQ(choice.at("stop_reason"), "wn fox ju");
  EXPECT_EQ(whole.json().at("usage").at("completion_tokens"), 7);
  const RawResponse stream = server.chat(R"("stop":"wn fox ju","stream":true)");
  EXPECT_EQ(streamed(stream), "Hello world the quick bro");
  const RawResponse kept = server.chat(R"("stop":"wn fox ju","include_stop_str_in_output":true)");
  EXPECT_EQ(kept.json().at("choices").at(0).at("message").at("content"),
            "Hello world the quick brown fox ju");
  const RawResponse not_yet = server.chat(R"("stop":" the","min_tokens":5)");
  EXPECT_EQ(not_yet.json().at("choices").at(0).at("message").at("content"),
            "Hello world the quick brown fox jumps over");
}

TEST(ChatCompletions, AStopStringFreesTheEngine) {
  TestServer server(
      [](const engine::Request&) {
        return Script{.tokens = ids_of("Hello world"), .repeat = true};
      },
      {}, std::chrono::microseconds(200));
  EXPECT_EQ(server.chat(R"("stop":"world","max_tokens":1000)").status, 200);
  EXPECT_TRUE(server.engine().wait_for_running(0));
  EXPECT_EQ(server.engine().aborts(), 1u);
}

TEST(ChatCompletions, NeverSendsHalfACharacter) {
  const std::string text = "a😀é\xE2";  // and a character that is cut
  TestServer server([&](const engine::Request&) {
    return Script{.tokens = ids_of(text), .stop_token = ToyTokenizer::kEnd};
  });
  const RawResponse stream = server.chat(R"("stream":true)");
  for (const std::string& event : stream.events()) {
    EXPECT_TRUE(event == "[DONE]" || parse_json(event, "event")) << event;
  }
  EXPECT_EQ(streamed(stream), "a😀é\uFFFD");
  EXPECT_EQ(server.chat("").json().at("choices").at(0).at("message").at("content"), "a😀é\uFFFD");
}

TEST(ChatCompletions, SamplingComesFromTheRequestThenTheModel) {
  TestServer server;
  ServedModel model = toy_model();
  model.sampling.temperature = 0.6;
  model.sampling.top_p = 0.95;
  model.sampling.top_k = 40;
  server.http().set_model(std::move(model));
  server.chat("");
  server.chat(R"("temperature":0,"top_p":null,"top_k":-1,"min_p":0.1,"repetition_penalty":1.1,)"
              R"("frequency_penalty":-1,"presence_penalty":2,"seed":-1,"min_tokens":3,)"
              R"("ignore_eos":true,"stop_token_ids":[5,6],"logit_bias":{"7":-100,"8":1.5},)"
              R"("max_tokens":5,"max_completion_tokens":6,"user":"u","metadata":{},"store":false)");
  const auto requests = server.engine().requests();
  EXPECT_EQ(requests[0].sampling.temperature, 0.6);
  EXPECT_EQ(requests[0].sampling.top_p, 0.95);
  EXPECT_EQ(requests[0].sampling.top_k, 40);
  EXPECT_FALSE(requests[0].sampling.seed);
  EXPECT_EQ(requests[0].sampling.max_tokens,
            1024 - static_cast<std::int32_t>(requests[0].prompt.size()));
  const engine::SamplingParams& asked = requests[1].sampling;
  EXPECT_EQ(asked.temperature, 0);
  EXPECT_EQ(asked.top_p, 0.95);
  EXPECT_EQ(asked.top_k, 0);
  EXPECT_EQ(asked.min_p, 0.1);
  EXPECT_EQ(asked.repetition_penalty, 1.1);
  EXPECT_EQ(asked.frequency_penalty, -1);
  EXPECT_EQ(asked.presence_penalty, 2);
  EXPECT_EQ(asked.seed, ~std::uint64_t{0});
  EXPECT_EQ(asked.min_tokens, 3);
  EXPECT_TRUE(asked.ignore_eos);
  EXPECT_EQ(asked.stop_ids, (std::vector<std::int32_t>{5, 6}));
  EXPECT_EQ(asked.logit_bias,
            (std::vector<std::pair<std::int32_t, float>>{{7, -100.0f}, {8, 1.5f}}));
  EXPECT_EQ(asked.max_tokens, 6);
}

struct BadField {
  const char* json;
  const char* param;
};

TEST(ChatCompletions, WrongFieldsAreNamed) {
  TestServer server;
  const BadField bad[] = {
      {R"("temperature":2.1)", "temperature"},
      {R"("temperature":-1)", "temperature"},
      {R"("temperature":"1")", "temperature"},
      {R"("temperature":1e999)", "temperature"},
      {R"("top_p":1.1)", "top_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("top_k":1.5)", "top_k"},
      {R"("min_p":2)", "min_p"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("frequency_penalty":2.5)", "frequency_penalty"},
      {R"("presence_penalty":[])", "presence_penalty"},
      {R"("n":0)", "n"},
      {R"("n":129)", "n"},
      {R"("n":true)", "n"},
      {R"("seed":1.5)", "seed"},
      {R"("seed":99999999999999999999)", "seed"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":-5)", "max_tokens"},
      {R"("max_tokens":"5")", "max_tokens"},
      {R"("max_completion_tokens":0)", "max_completion_tokens"},
      {R"("stream":"yes")", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("stop":5)", "stop"},
      {R"("stop":["a",5])", "stop"},
      {R"("stop":"")", "stop"},
      {R"("stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])",
       "stop"},
      {R"("stop_token_ids":[270])", "stop_token_ids"},
      {R"("stop_token_ids":5)", "stop_token_ids"},
      {R"("logit_bias":{"foo":0})", "logit_bias"},
      {R"("logit_bias":{"270":0})", "logit_bias"},
      {R"("logit_bias":{"-1":0})", "logit_bias"},
      {R"("logit_bias":{"5":101})", "logit_bias"},
      {R"("logit_bias":{"5":"1"})", "logit_bias"},
      {R"("logit_bias":[1])", "logit_bias"},
      {R"("logprobs":5)", "logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":1000000000)", "top_logprobs"},
      {R"("top_logprobs":2)", "top_logprobs"},
      {R"("min_tokens":-1)", "min_tokens"},
      {R"("response_format":{"type":"json_schema","json_schema":{}})",
       "response_format.json_schema"},
      {R"("response_format":{"type":"xml"})", "response_format.type"},
      {R"("response_format":"text")", "response_format"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("tool_choice":{"type":"function","function":{"name":"f"}})", "tool_choice"},
      {R"("tools":[{"type":"function"}])", "tools[0]"},
      {R"("tools":5)", "tools"},
      {R"("guided_json":{"type":"object"})", "guided_json"},
      {R"("modalities":["audio"])", "modalities"},
  };
  for (const BadField& field : bad) {
    const RawResponse response = server.chat(field.json);
    EXPECT_EQ(response.status, 400) << field.json << response.body;
    const Json param = response.json().at("error").at("param");
    EXPECT_EQ(param, Json(field.param)) << field.json;
  }
  EXPECT_TRUE(server.engine().requests().empty());
}

TEST(ChatCompletions, NullAndUnknownFieldsAreNoMistake) {
  TestServer server;
  EXPECT_EQ(server
                .chat(R"("temperature":null,"stop":null,"n":null,"stream":null,"seed":null,)"
                      R"("stream_options":null,"logit_bias":null,"max_tokens":null,"tools":null,)"
                      R"("tool_choice":null,"response_format":null,"logprobs":null,"x":{"y":[1]})")
                .status,
            200);
  EXPECT_EQ(
      server.chat(R"("response_format":{"type":"text"},"tool_choice":"auto","stop":[])").status,
      200);
}

TEST(ChatCompletions, MessagesMustBeOnes) {
  TestServer server;
  for (const char* body :
       {R"({})", R"({"messages":null})", R"({"messages":[]})", R"({"messages":"hi"})",
        R"({"messages":[5]})", R"({"messages":[{"content":"x"}]})",
        R"({"messages":[{"role":"user","content":5}]})",
        R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"}) {
    const RawResponse response = server.exchange(post("/v1/chat/completions", body));
    EXPECT_EQ(response.status, 400) << body;
    const Json param = response.json().at("error").at("param");
    ASSERT_TRUE(param.is_string()) << body;
    EXPECT_TRUE(param.as_string().starts_with("messages")) << param;
  }
}

TEST(ChatCompletions, TypesWithinMessagesAreNamed) {
  TestServer server;
  const auto error = [&](const char* body) {
    return server.exchange(post("/v1/chat/completions", body)).json().at("error");
  };
  EXPECT_EQ(error(R"({"messages":"hi"})").at("code"), "invalid_type");
  const Json prefix = error(R"({"messages":[{"role":"assistant","content":"x","prefix":1}]})");
  EXPECT_EQ(prefix.at("code"), "invalid_type");
  EXPECT_EQ(prefix.at("param"), "messages[0].prefix");
  const Json refused = error(
      R"({"messages":[{"role":"assistant","content":"x","prefix":true}],"add_generation_prompt":true})");
  EXPECT_EQ(refused.at("param"), "messages[0].prefix");
}

TEST(ChatCompletions, ConversationsTakeManyForms) {
  TestServer server;
  const auto prompt_of = [&](const char* rest) {
    const RawResponse response = server.exchange(post("/v1/chat/completions", rest));
    EXPECT_EQ(response.status, 200) << rest << response.body;
    return ToyTokenizer().decode(server.engine().requests().back().prompt, false);
  };
  EXPECT_EQ(prompt_of(R"({"messages":[{"role":"developer","content":"be"},)"
                      R"({"role":"user","content":[{"type":"text","text":"a"},)"
                      R"({"type":"text","text":"b"}]}]})"),
            "<s><|turn|>system\nbe<|end|><|turn|>user\na\nb<|end|><|turn|>assistant\n");
  EXPECT_EQ(prompt_of(R"({"messages":[{"role":"user","content":"a"},)"
                      R"({"role":"assistant","content":"so"}],"continue_final_message":true})"),
            "<s><|turn|>user\na<|end|><|turn|>assistant\nso");
  EXPECT_EQ(prompt_of(R"({"messages":[{"role":"user","content":"a"}],)"
                      R"("tools":[{"type":"function","function":{"name":"f"}}]})"),
            "<s><|turn|>user\na<|end|><|turn|>assistant\n");
}

TEST(ChatCompletions, WhatDoesNotFitInTheContextIsRefused) {
  TestServer server;
  server.engine().set_max_context(20);
  const RawResponse asked = server.chat(R"("max_tokens":100)");
  EXPECT_EQ(asked.status, 400);
  EXPECT_EQ(asked.json().at("error").at("code"), "context_length_exceeded");
  server.engine().set_max_context(5);
  EXPECT_EQ(server.chat("").json().at("error").at("code"), "context_length_exceeded");
  EXPECT_EQ(server.chat(R"("stream":true)").status, 400);
}

TEST(ChatCompletions, AnEngineErrorBeforeTheFirstTokenIsAStatus) {
  TestServer server([](const engine::Request&) { return Script{.error = "out of blocks"}; });
  for (const char* fields : {"", R"("stream":true)"}) {
    const RawResponse response = server.chat(fields);
    EXPECT_EQ(response.status, 500);
    EXPECT_EQ(response.json().at("error").at("code"), "engine_error");
  }
}

TEST(ChatCompletions, AnEngineErrorInAStreamIsAnEvent) {
  TestServer server(
      [](const engine::Request&) { return Script{.tokens = ids_of("Hello"), .error = "died"}; }, {},
      std::chrono::milliseconds(20));
  const RawResponse response = server.chat(R"("stream":true)");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  const auto events = response.events();
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(parse_json(events.at(events.size() - 2), "e")->at("error").at("code"), "engine_error");
}

TEST(ChatCompletions, AStreamThatWaitsShowsThatItLives) {
  ServerOptions options;
  options.keep_alive_interval = std::chrono::milliseconds(50);
  TestServer server([](const engine::Request&) { return Script{.hold = true}; }, options);
  RawClient client = server.connect();
  client.send(post("/v1/completions", R"({"prompt":"x","stream":true})"));
  const std::string bytes = client.read_until(": keep-alive\n\n\r\ne\r\n: keep");
  EXPECT_TRUE(bytes.starts_with("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace bundle::server
