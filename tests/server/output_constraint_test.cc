// What a client asks of an output becomes the engine's constraint, or a 400 that says why not.
#include <gtest/gtest.h>

#include "runtime/server/pattern_check.h"
#include "runtime/server/schema_check.h"
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

/// Where a schema is refused; "" when it is taken.
std::string unheld(const std::string& schema) {
  return unheld_keyword(*parse_json(schema, "schema")).value_or("");
}

TEST(SchemaCheck, WhatWouldBeLeftOutInSilenceIsNamed) {
  for (const auto& [schema, place] : std::vector<std::pair<const char*, const char*>>{
           {R"({"$ref":"#/$defs/a","minimum":3,"$defs":{"a":{"type":"integer"}}})", "/minimum"},
           {R"({"$dynamicRef":"#x"})", "/$dynamicRef"},
           {R"({"type":"integer","anyOf":[{"minimum":3}]})", "/type"},
           {R"({"anyOf":[{"type":"null"}],"properties":{}})", "/properties"},
           {R"({"enum":["abc","de"],"maxLength":2})", "/maxLength"},
           {R"({"type":"integer","const":"x"})", "/type"},
           {R"({"type":["string","null"],"enum":["a",1]})", "/type"},
           {R"({"type":[]})", "/type"},
           {R"({"minimum":3})", "/minimum"},
           {R"({"required":["a"]})", "/required"},
           {R"({"type":"object","properties":{"a":{}},"required":["b"]})", "/required"},
           {R"({"type":"object","dependencies":{"a":["b"]}})", "/dependencies"},
           {R"({"type":"array","items":[{}],"additionalItems":{"type":"null"}})",
            "/additionalItems"},
           {R"({"type":"string","minLength":-1})", "/minLength"},
           {R"({"type":"array","items":{"type":"string","minLength":0.5}})", "/items/minLength"},
           {R"({"type":"string","pattern":"^\"hi\"$"})", "/pattern"},
           {R"({"type":"object","patternProperties":{"\\n":{}}})", "/patternProperties"}}) {
    EXPECT_EQ(unheld(schema), place) << schema;
  }
}

TEST(SchemaCheck, WhatHoldsIsTaken) {
  for (const char* schema :
       {R"({"type":"string","enum":["a","b"],"description":"x","default":"a"})",
        R"({"type":["string","null"],"enum":["a",null]})", R"({"type":"number","const":1})",
        R"({"anyOf":[{"type":"string","minLength":1},{"type":"null"}],"title":"x"})",
        R"({"$ref":"#/$defs/a","description":"x","$defs":{"a":{"type":"integer","minimum":1}}})",
        R"({"properties":{"a":{"type":"integer"}},"required":["a"]})",
        R"({"type":"string","minimum":3})", R"({"type":"array","uniqueItems":false})",
        R"({"type":"string","pattern":"^[a-z0-9_.-]+@\\w+\\.(com|org)$"})",
        R"({"type":"object","patternProperties":{"^x-":{"type":"string"}}})", "true"}) {
    EXPECT_EQ(unheld(schema), "") << schema;
  }
}

TEST(PatternCheck, OnlyCharactersThatStandForThemselves) {
  for (const char* held :
       {"^[a-z]+$", R"(\d{3}-\d{4})", "a|b", "(?:ab)*", "(?<year>\\d+)", "[^\"x]+", R"([\w.\-/]+)",
        ".*", R"(\$\.\()", "é+", "[\"a]", R"(\x41\u0042)"}) {
    EXPECT_TRUE(fits_json_string(held)) << held;
  }
  for (const char* unheld :
       {"\"",        R"(\")",    R"(\\)",  R"(\n)",   R"([\n\t])", "[\"]",     R"(\x22)",
        R"(\u005c)", "(?=a)b",   "(?!a)b", "(?<=a)b", "(?i)a",     R"(\p{L})", R"(\Aab\Z)",
        R"(\bab)",   R"((a)\1)", "é.",     "[^é]",    R"(é\S)",    "\\"}) {
    EXPECT_FALSE(fits_json_string(unheld)) << unheld;
  }
}

TEST(OutputConstraint, WhatTheCompilerWarnsOfIsRefused) {
  TestServer server;
  for (const char* schema : {R"({"allOf":[{"type":"integer"},{"maximum":5,"type":"integer"}]})",
                             R"({"type":"number","multipleOf":0.5})",
                             R"({"type":"string","pattern":"^a+$","maxLength":2})",
                             R"({"oneOf":[{"type":"integer"},{"type":"number"}]})",
                             R"({"$ref":"#foo"})", R"({"$ref":"http://example.com/x.json"})"}) {
    const std::string format =
        std::string(R"("response_format":{"type":"json_schema","json_schema":{"schema":)") + schema;
    const RawResponse refused = server.chat(format + "}}");
    EXPECT_EQ(refused.status, 400) << schema;
    EXPECT_EQ(refused.json().at("error").at("code"), "invalid_constraint") << refused.body;
    EXPECT_EQ(server.chat(format + R"(,"strict":false}})").status, 200) << schema;
  }
}

TEST(OutputConstraint, FunctionsAreChecked) {
  TestServer server;
  const auto tool = [](const char* function) {
    return std::string(R"("tools":[{"type":"function","function":)") + function + "}]";
  };
  for (const char* function :
       {R"({"name":"a b"})", R"({"name":""})", R"({"name":"f","parameters":[]})",
        R"({"name":"f","strict":true,"parameters":{"type":"object","not":{}}})"}) {
    EXPECT_EQ(server.chat(tool(function)).status, 400) << function;
  }
  EXPECT_EQ(server.chat(tool(R"({"name":"f","parameters":{"type":"object","not":{}}})")).status,
            200);
  EXPECT_EQ(server
                .chat(R"("tools":[{"type":"function","function":{"name":"f"}},)"
                      R"({"type":"function","function":{"name":"f"}}])")
                .status,
            400);
}

TEST(OutputConstraint, AFunctionWithoutParametersTakesNone) {
  TestServer server;
  EXPECT_EQ(server
                .chat(R"("tools":[{"type":"function","function":{"name":"f"}}],)"
                      R"("tool_choice":"required")")
                .status,
            200);
  EXPECT_NE(print_json(format_of(server)).find(R"("additionalProperties":false)"),
            std::string::npos);
}

TEST(OutputConstraint, ToolsThatTheTemplateDoesNotShowAreRefused) {
  TestServer server;
  ServedModel model = toy_model();
  model.shows_tools = false;
  server.http().set_model(std::move(model));
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  EXPECT_EQ(server.chat(tools).json().at("error").at("param"), "tools");
  EXPECT_EQ(server.chat(tools + R"(,"tool_choice":"none")").status, 200);
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
