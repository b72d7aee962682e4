#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;

RawResponse embed(const TestServer& server, const std::string& fields) {
  return server.exchange(post("/v1/embeddings", "{" + fields + "}"));
}

std::vector<float> vector_of(const Json& entry) {
  std::vector<float> out;
  for (const Json& number : entry.at("embedding").as_array()) {
    out.push_back(static_cast<float>(number.to_number<double>()));
  }
  return out;
}

std::vector<float> normalized(std::vector<float> vector) {
  double squares = 0;
  for (const float x : vector) squares += double{x} * double{x};
  for (float& x : vector) x = static_cast<float>(x / std::sqrt(squares));
  return vector;
}

/// Of the only input, as the fake engine makes it.
std::vector<float> raw(const TestServer& server, const std::string& fields) {
  return vector_of(embed(server, fields + R"(,"normalize":false)").json().at("data").at(0));
}

TEST(Embeddings, HaveOpenAisShapeAndLengthOne) {
  TestServer server;
  const RawResponse response = embed(server, R"("model":"toy","input":"Hello world","user":"me")");
  ASSERT_EQ(response.status, 200) << response.body;
  const Json body = response.json();
  EXPECT_EQ(body.at("object"), "list");
  EXPECT_EQ(body.at("model"), "toy");
  EXPECT_EQ(body.at("usage").at("prompt_tokens"), 3);
  EXPECT_EQ(body.at("usage").at("total_tokens"), 3);
  const Json& entry = body.at("data").at(0);
  EXPECT_EQ(entry.at("object"), "embedding");
  EXPECT_EQ(entry.at("index"), 0);
  const engine::Request asked = server.engine().requests().back();
  EXPECT_EQ(asked.prompt.front(), ToyTokenizer::kBegin);
  EXPECT_EQ(asked.pooling, engine::Pooling::kLast);
  EXPECT_EQ(vector_of(entry), normalized(fake_embedding(asked)));
}

TEST(Embeddings, TakeTextsTokensAndBatches) {
  TestServer server;
  EXPECT_THAT(raw(server, R"("input":"Hello")"), ElementsAre(2, 260, 1, 0.5f));
  EXPECT_THAT(raw(server, R"("input":"Hello","add_special_tokens":false)"),
              ElementsAre(1, 260, 1, 0.5f));
  EXPECT_THAT(raw(server, R"("input":[7,8,9])"), ElementsAre(3, 9, 1, 0.5f));
  const Json many = embed(server, R"("input":["a","bc"],"normalize":false)").json();
  EXPECT_THAT(vector_of(many.at("data").at(1)), ElementsAre(3, 'c', 1, 0.5f));
  const Json ids = embed(server, R"("input":[[1],[2,3],[4,5,6]],"normalize":false)").json();
  ASSERT_EQ(ids.at("data").as_array().size(), 3u);
  EXPECT_EQ(ids.at("data").at(2).at("index"), 2);
  EXPECT_THAT(vector_of(ids.at("data").at(2)), ElementsAre(3, 6, 1, 0.5f));
  EXPECT_EQ(ids.at("usage").at("prompt_tokens"), 6);
}

TEST(Embeddings, ArePooledAndCutAsAsked) {
  TestServer server;
  EXPECT_THAT(raw(server, R"("input":[7],"pooling":"mean")"), ElementsAre(1, 7, -1, 0.5f));
  EXPECT_THAT(raw(server, R"("input":[7],"dimensions":2)"), ElementsAre(1, 7));
  const Json cut = embed(server, R"("input":[3,4],"dimensions":2)").json();
  const auto vector = vector_of(cut.at("data").at(0));  // (2, 4) before
  EXPECT_THAT(vector, ElementsAre(FloatNear(0.4472136f, 1e-6f), FloatNear(0.8944272f, 1e-6f)));
}

TEST(Embeddings, InBase64AreTheSameFloats) {
  TestServer server;
  const auto plain = vector_of(embed(server, R"("input":"Hello")").json().at("data").at(0));
  const Json packed = embed(server, R"("input":"Hello","encoding_format":"base64")").json();
  const std::string text(packed.at("data").at(0).at("embedding").as_string());
  const std::string bytes = *base64_decode(text, "answer");
  std::vector<float> unpacked(bytes.size() / sizeof(float));
  std::memcpy(unpacked.data(), bytes.data(), bytes.size());
  EXPECT_EQ(unpacked, plain);
}

TEST(Embeddings, OfALargeBatchDoNotFloodTheEngine) {
  ServerOptions options;
  options.limits.embeddings_at_once = 4;
  options.limits.queued_requests = 8;
  TestServer server([](const engine::Request&) { return Script{}; }, options,
                    std::chrono::microseconds(500));
  std::string ids = "[1]";
  for (int i = 2; i <= 200; ++i) ids += ",[" + std::to_string(i) + "]";
  const Json body = embed(server, R"("normalize":false,"input":[)" + ids + "]").json();
  const JsonArray& data = body.at("data").as_array();
  ASSERT_EQ(data.size(), 200u);
  for (std::size_t i = 0; i < data.size(); ++i) {
    EXPECT_EQ(data[i].at("index"), i);
    EXPECT_EQ(vector_of(data[i])[1], static_cast<float>(i + 1));
  }
  // Those that end in one step are followed before the fake engine has counted them off.
  EXPECT_LE(server.engine().most_running(), 8u);
}

TEST(Embeddings, OfAClientThatLeavesStop) {
  TestServer server([](const engine::Request&) { return Script{.hold = true}; });
  RawClient client = server.connect();
  client.send(post("/v1/embeddings", R"({"input":["a","b"]})"));
  ASSERT_TRUE(server.engine().wait_for_running(2));
  client.reset();
  EXPECT_TRUE(server.engine().wait_for_running(0));
}

TEST(Embeddings, RefuseWhatIsWrongByName) {
  TestServer server;
  const auto expect = [&](const std::string& fields, const char* param, const char* code) {
    const RawResponse response = embed(server, fields);
    EXPECT_EQ(response.status, 400) << fields;
    EXPECT_EQ(response.json().at("error").at("param"), param) << fields;
    EXPECT_EQ(response.json().at("error").at("code"), code) << fields;
  };
  expect(R"("model":"toy")", "input", "missing_field");
  expect(R"("input":"")"
         R"(,"add_special_tokens":false)",
         "input", "invalid_value");
  expect(R"("input":[])", "input", "invalid_value");
  expect(R"("input":[[]])", "input", "invalid_value");
  expect(R"("input":5)", "input", "invalid_type");
  expect(R"("input":[100000])", "input", "invalid_value");
  expect(R"("input":"a","encoding_format":"int8")", "encoding_format", "invalid_value");
  expect(R"("input":"a","pooling":"cls")", "pooling", "invalid_value");
  expect(R"("input":"a","dimensions":5)", "dimensions", "invalid_value");
  expect(R"("input":"a","dimensions":0)", "dimensions", "invalid_value");
  expect(R"("input":"a","truncate_prompt_tokens":3)", "truncate_prompt_tokens",
         "unsupported_value");
  expect(R"("input":")" + std::string(2000, 'x') + "\"", "input", "context_length_exceeded");
  std::string ids = "1";
  for (int i = 0; i < 1023; ++i) ids += ",1";
  EXPECT_EQ(embed(server, R"("input":[)" + ids + "]").status, 200) << "fills the context";
  EXPECT_EQ(embed(server, R"("model":"other","input":"a")").status, 404);
}

TEST(Embeddings, OfAModelThatGivesNoneAreRefused) {
  TestServer server;
  ServedModel model = toy_model();
  model.hidden_size = 0;
  server.http().set_model(std::move(model));
  const RawResponse response = embed(server, R"("input":"a")");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json().at("error").at("code"), "unsupported_value");
  EXPECT_THAT(response.body, HasSubstr("gives no embeddings"));
}

}  // namespace
}  // namespace bundle::server
