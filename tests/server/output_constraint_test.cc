// What a client asks of an output becomes the engine's constraint, or a 400 that says why not.
#include <gtest/gtest.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

/// The format of the constraint that the engine was given last.
Json format_of(TestServer& server) {
  const auto requests = server.engine().requests();
  if (requests.empty() || requests.back().sampling.constraint.empty()) return nullptr;
  return parse_json(requests.back().sampling.constraint.tag, "tag")->at("format");
}

Json format_of(std::string_view fields) {
  TestServer server;
  const RawResponse response = server.chat(fields);
  EXPECT_EQ(response.status, 200) << response.body;
  return format_of(server);
}

TEST(OutputConstraint, ResponseFormats) {
  EXPECT_TRUE(format_of(R"("response_format":{"type":"text"})").is_null());
  EXPECT_EQ(format_of(R"("response_format":{"type":"json_object"})").at("json_schema"),
            *parse_json(R"({"type":"object"})", "x"));
  EXPECT_EQ(format_of(R"("response_format":{"type":"json_schema","json_schema":{"name":"n",)"
                      R"("schema":{"type":"integer"},"strict":true}})")
                .at("json_schema"),
            *parse_json(R"({"type":"integer"})", "x"));
}

TEST(OutputConstraint, StructuredOutputs) {
  EXPECT_EQ(format_of(R"("structured_outputs":{"regex":"a+"})").at("pattern"), "a+");
  EXPECT_EQ(
      format_of(R"("structured_outputs":{"choice":["a","b"]})").at("elements").at(1).at("value"),
      "b");
  EXPECT_EQ(format_of(R"("structured_outputs":{"grammar":"root ::= \"a\""})").at("type"),
            "grammar");
  EXPECT_EQ(format_of(R"("structured_outputs":{"json":"{\"type\":\"null\"}"})").at("json_schema"),
            *parse_json(R"({"type":"null"})", "x"));
}

TEST(OutputConstraint, CompletionsHaveThemToo) {
  TestServer server;
  EXPECT_EQ(server.completion(R"("prompt":"x","structured_outputs":{"regex":"a"})").status, 200);
  EXPECT_EQ(format_of(server).at("pattern"), "a");
}

TEST(OutputConstraint, WhatCanNotBeCompiledIs400) {
  TestServer server;
  for (const char* fields :
       {R"("structured_outputs":{"regex":"(["})",
        R"("structured_outputs":{"grammar":"root ::= nowhere"})",
        R"("response_format":{"type":"json_schema","json_schema":{"schema":{"type":"what"}}})"}) {
    for (const char* stream : {"", R"(,"stream":true)"}) {
      const RawResponse response = server.chat(std::string(fields) + stream);
      EXPECT_EQ(response.status, 400) << fields;
      const Json error = response.json().at("error");
      EXPECT_EQ(error.at("code"), "invalid_constraint");
      EXPECT_GT(error.at("message").as_string().size(), 40U);
    }
  }
  EXPECT_TRUE(server.engine().requests().empty());
}

TEST(OutputConstraint, WhatAGrammarCanNotHoldIsRefusedNotIgnored) {
  TestServer server;
  const auto answer = [&](const char* schema, const char* more) {
    return server.chat(std::string(R"("response_format":{"type":"json_schema","json_schema":{)") +
                       more + R"("schema":)" + schema + "}}");
  };
  const char* const unique =
      R"({"type":"object","properties":{"a":{"type":"array","uniqueItems":true}}})";
  const RawResponse refused = answer(unique, "");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json().at("error").at("code"), "invalid_constraint");
  EXPECT_NE(refused.body.find("/properties/a/uniqueItems"), std::string::npos);
  EXPECT_EQ(answer(unique, R"("strict":false,)").status, 200);
  EXPECT_EQ(answer(R"({"type":"object","properties":{"not":{"type":"null"}}})", "").status, 200);
}

TEST(OutputConstraint, FieldsAreChecked) {
  TestServer server;
  for (const auto& [fields, param] : std::vector<std::pair<const char*, const char*>>{
           {R"("structured_outputs":{"regex":5})", "structured_outputs.regex"},
           {R"("structured_outputs":{"choice":[]})", "structured_outputs.choice"},
           {R"("structured_outputs":{"choice":["a",5]})", "structured_outputs.choice"},
           {R"("structured_outputs":{"json":5})", "structured_outputs.json"},
           {R"("structured_outputs":{"regex":"a","choice":["b"]})", "structured_outputs"},
           {R"("structured_outputs":{"lark":"x"})", "structured_outputs.lark"},
           {R"("structured_outputs":{"regex":"a"},"response_format":{"type":"json_object"})",
            "structured_outputs"},
           {R"("structured_outputs":"a")", "structured_outputs"}}) {
    const RawResponse response = server.chat(fields);
    EXPECT_EQ(response.status, 400) << fields;
    EXPECT_EQ(response.json().at("error").at("param"), param) << fields;
  }
}

constexpr char kTools[] =
    R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},)"
    R"({"type":"function","function":{"name":"g"}}])";

TEST(OutputConstraint, ForcedCallsAreWrittenInTheModelsForm) {
  for (const chat::ToolFormat form :
       {chat::ToolFormat::kNone, chat::ToolFormat::kHermes, chat::ToolFormat::kQwen3Coder,
        chat::ToolFormat::kDeepSeekV3, chat::ToolFormat::kDeepSeekV31, chat::ToolFormat::kLlama3,
        chat::ToolFormat::kMistral, chat::ToolFormat::kKimiK2}) {
    TestServer server;
    ServedModel model = toy_model();
    model.tool_format = form;
    server.http().set_model(std::move(model));
    const std::string required = std::string(kTools) + R"(,"tool_choice":"required")";
    ASSERT_EQ(server.chat(required).status, 200) << server.chat(required).body;
    EXPECT_FALSE(format_of(server).is_null());
    const std::string named =
        std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})";
    ASSERT_EQ(server.chat(named).status, 200);
    EXPECT_EQ(print_json(format_of(server)).find("\"f\\\""), std::string::npos);
  }
}

TEST(OutputConstraint, AutoLeavesTheModelFree) { EXPECT_TRUE(format_of(kTools).is_null()); }

TEST(OutputConstraint, HoldsAfterTheReasoning) {
  TestServer server;
  ServedModel model = toy_model();
  model.prompt_style.reasoning = chat::ReasoningFormat::kDeepSeekR1;
  server.http().set_model(std::move(model));
  EXPECT_EQ(server.chat(R"("structured_outputs":{"regex":"a"})").status, 200);
  EXPECT_EQ(server.engine().requests().back().sampling.constraint.after, "</think>");
  EXPECT_EQ(server.chat(R"("structured_outputs":{"regex":"a"},"reasoning_effort":"none")").status,
            200);
  EXPECT_EQ(server.engine().requests().back().sampling.constraint.after, "");
}

}  // namespace
}  // namespace bundle::server
