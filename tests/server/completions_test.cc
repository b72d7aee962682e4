#include <gtest/gtest.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

Json choice_of(const RawResponse& response, std::size_t index = 0) {
  EXPECT_EQ(response.status, 200) << response.body;
  return response.json().at("choices").at(index);
}

TEST(Completions, AnswersInOpenAIsShape) {
  TestServer server;
  const RawResponse response = server.completion(R"("model":"toy","prompt":"hi","max_tokens":2)");
  const Json body = response.json();
  EXPECT_EQ(body.at("object"), "text_completion");
  EXPECT_TRUE(body.at("id").as_string().starts_with("cmpl-"));
  const Json choice = choice_of(response);
  EXPECT_EQ(choice.at("text"), "Hello world");
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_TRUE(choice.at("logprobs").is_null());
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 2);
  EXPECT_EQ(server.engine().requests().at(0).prompt, ids_of("<s>hi"));
}

TEST(Completions, DefaultsToSixteenTokens) {
  TestServer server;
  server.completion(R"("prompt":"hi")");
  EXPECT_EQ(server.engine().requests().at(0).sampling.max_tokens, 16);
}

TEST(Completions, TakesAllFormsOfPrompts) {
  TestServer server;
  EXPECT_EQ(
      server.completion(R"("prompt":["a","b","c"],"n":2)").json().at("choices").as_array().size(),
      6u);
  EXPECT_EQ(server.completion(R"("prompt":[104,105])").status, 200);
  EXPECT_EQ(server.completion(R"("prompt":[[104],[105,106]])").status, 200);
  EXPECT_EQ(server.completion(R"("prompt":["a",[105,106]])").status, 200);
  const auto requests = server.engine().requests();
  ASSERT_EQ(requests.size(), 11u);
  EXPECT_EQ(requests[0].prompt, ids_of("<s>a"));
  EXPECT_EQ(requests[1].prompt, ids_of("<s>a"));
  EXPECT_EQ(requests[5].prompt, ids_of("<s>c"));
  EXPECT_EQ(requests[6].prompt, (std::vector<std::int32_t>{104, 105}));
  EXPECT_EQ(requests[8].prompt, (std::vector<std::int32_t>{105, 106}));
}

TEST(Completions, RefusesPromptsThatAreNone) {
  TestServer server;
  for (const char* prompt :
       {R"("max_tokens":1)", R"("prompt":null)", R"("prompt":[])", R"("prompt":[[]])",
        R"("prompt":5)", R"("prompt":{"a":1})", R"("prompt":[1,"a"])", R"("prompt":[1.5])",
        R"("prompt":[-1])", R"("prompt":[270])", R"("prompt":[[1],2])", R"("prompt":[true])",
        R"("prompt":[99999999999999999999])", R"("prompt":"","add_special_tokens":false)"}) {
    const RawResponse response = server.completion(prompt);
    EXPECT_EQ(response.status, 400) << prompt;
    EXPECT_EQ(response.json().at("error").at("param"), "prompt") << prompt;
  }
}

TEST(Completions, EchoesPromptAndScores) {
  TestServer server;
  const RawResponse response =
      server.completion(R"("prompt":"Hello fo","max_tokens":2,"echo":true,"logprobs":2)");
  const Json choice = choice_of(response);
  EXPECT_EQ(choice.at("text"), "Hello foHello world");
  const Json& logprobs = choice.at("logprobs");
  EXPECT_EQ(logprobs.at("tokens"), Json({"<s>", "Hello", " ", "f", "o", "Hello", " world"}));
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs.at("token_logprobs").at(1), -0.5);
  EXPECT_EQ(logprobs.at("top_logprobs").at(1), (JsonObject{{"Hello", -0.5}, {" world", -1.5}}));
  EXPECT_EQ(logprobs.at("text_offset"), Json({0, 3, 8, 9, 10, 11, 16}));
}

TEST(Completions, ACharacterOfSeveralTokensIsOneInTheOffsets) {
  // "é" is two bytes, "日" three, and each byte is a token here.
  TestServer server([](const engine::Request&) {
    return Script{.tokens = {'a', 0xC3, 0xA9, 0xE6, 0x97, 0xA5, 'b', 'c'}, .stop_token = 257};
  });
  const Json choice = choice_of(server.completion(R"("prompt":"x","logprobs":0)"));
  EXPECT_EQ(choice.at("text"), "aé日bc");
  const Json& offsets = choice.at("logprobs").at("text_offset");
  EXPECT_EQ(offsets.at(6), 3) << offsets;
  EXPECT_EQ(offsets.at(7), 4) << offsets;
}

TEST(Completions, ScoresThePromptAlone) {
  TestServer server;
  const Json choice = choice_of(
      server.completion(R"("prompt":[72,105,33],"max_tokens":0,"echo":true,"logprobs":1)"));
  EXPECT_EQ(choice.at("text"), "Hi!");
  EXPECT_EQ(choice.at("finish_reason"), "length");
  EXPECT_EQ(choice.at("logprobs").at("tokens"), Json({"H", "i", "!"}));
  EXPECT_EQ(server.completion(R"("prompt":"x","max_tokens":0)").status, 400);
}

TEST(Completions, LogprobsOfZeroGiveTheChosenToken) {
  TestServer server;
  const Json logprobs =
      choice_of(server.completion(R"("prompt":"x","max_tokens":1,"logprobs":0)")).at("logprobs");
  EXPECT_EQ(logprobs.at("top_logprobs").at(0), (JsonObject{{"Hello", -0.5}}));
  EXPECT_EQ(logprobs.at("text_offset").at(0), 0);
}

TEST(Completions, StreamsWithEchoAndScores) {
  TestServer server;
  const auto events =
      server
          .completion(R"("prompt":"hi","max_tokens":2,"echo":true,"logprobs":0,"stream":true,)"
                      R"("stream_options":{"include_usage":true})")
          .events();
  ASSERT_EQ(events.back(), "[DONE]");
  std::string text;
  std::size_t tokens = 0;
  for (std::size_t i = 0; i + 2 < events.size(); ++i) {
    const Json event = *parse_json(events[i], "event");
    EXPECT_EQ(event.at("object"), "text_completion");
    EXPECT_TRUE(event.at("usage").is_null());
    text += event.at("choices").at(0).at("text").as_string();
    tokens += event.at("choices").at(0).at("logprobs").at("tokens").as_array().size();
  }
  EXPECT_EQ(text, "hiHello world");
  EXPECT_EQ(tokens, 5u);
  const Json last = *parse_json(events[events.size() - 2], "event");
  EXPECT_TRUE(last.at("choices").as_array().empty());
  EXPECT_EQ(last.at("usage").at("completion_tokens"), 2);
}

TEST(Completions, ReturnsTokenIds) {
  TestServer server;
  const Json choice =
      choice_of(server.completion(R"("prompt":[104,105],"max_tokens":2,"return_token_ids":true)"));
  EXPECT_EQ(choice.at("prompt_token_ids"), Json({104, 105}));
  EXPECT_EQ(choice.at("token_ids"), Json({260, 261}));
}

TEST(Completions, BestOfMakesMoreAndKeepsN) {
  TestServer server;
  const Json body =
      server.completion(R"("prompt":["x","y"],"n":2,"best_of":3,"max_tokens":2)").json();
  EXPECT_EQ(body.at("choices").as_array().size(), 4U);
  EXPECT_EQ(body.at("usage").at("completion_tokens"), 12);
  EXPECT_TRUE(body.at("choices").at(0).at("logprobs").is_null());
  EXPECT_EQ(server.engine().requests().size(), 6U);
  for (const char* fields :
       {R"("prompt":"x","n":2,"best_of":1)", R"("prompt":"x","best_of":2,"stream":true)",
        R"("prompt":"x","best_of":0)"}) {
    const RawResponse response = server.completion(fields);
    EXPECT_EQ(response.status, 400) << fields;
    EXPECT_EQ(response.json().at("error").at("param"), "best_of");
  }
}

TEST(Completions, AModelWithoutTokenizerServesIds) {
  TestServer server;
  ServedModel model;
  model.name = "ids";
  model.vocab_size = 1000;
  server.http().set_model(std::move(model));
  const RawResponse whole =
      server.completion(R"("prompt":[999,5],"max_tokens":3,"return_token_ids":true,"logprobs":1)");
  const Json choice = choice_of(whole);
  EXPECT_EQ(choice.at("text"), "");
  EXPECT_EQ(choice.at("token_ids"), Json({260, 261, 262}));
  EXPECT_EQ(choice.at("logprobs").at("tokens").at(0), "token_id:260");
  const auto events =
      server.completion(R"("prompt":[1],"max_tokens":3,"return_token_ids":true,"stream":true)")
          .events();
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = *parse_json(events[i], "event");
    const Json& fresh = event.at("choices").at(0).at("token_ids");
    for (const Json& id : fresh.as_array()) ids.push_back(id.as_int64());
  }
  EXPECT_EQ(ids, (std::vector<std::int64_t>{260, 261, 262}));
  EXPECT_EQ(server.completion(R"("prompt":"text")").status, 400);
  EXPECT_EQ(server.completion(R"("prompt":[1],"stop":"x")").status, 400);
  EXPECT_EQ(server.completion(R"("prompt":[1000])").status, 400);
  EXPECT_EQ(server.exchange(post("/tokenize", R"({"prompt":"x"})")).status, 400);
  const RawResponse chat = server.exchange(
      post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(chat.status, 400);
}

TEST(Tokenize, RoundTrips) {
  TestServer server;
  const Json body =
      server.exchange(post("/tokenize", R"({"prompt":"Hello é","return_token_strs":true})")).json();
  EXPECT_EQ(body.at("tokens"), Json({256, 260, 32, 0xc3, 0xa9}));
  EXPECT_EQ(body.at("count"), 5);
  EXPECT_EQ(body.at("max_model_len"), 1024);
  const Json chat =
      server.exchange(post("/tokenize", R"({"messages":[{"role":"user","content":"hi"}]})")).json();
  EXPECT_EQ(chat.at("tokens").at(0), 256);
  EXPECT_EQ(chat.at("tokens").at(1), 258);
  EXPECT_EQ(
      server.exchange(post("/detokenize", R"({"tokens":[260,32,195,169]})")).json().at("prompt"),
      "Hello é");
  EXPECT_EQ(server.exchange(post("/detokenize", R"({"tokens":[270]})")).status, 400);
  EXPECT_EQ(server.exchange(post("/tokenize", R"({"prompt":5})")).status, 400);
  EXPECT_EQ(server.exchange(post("/tokenize", "{}")).status, 400);
}

}  // namespace
}  // namespace bundle::server
