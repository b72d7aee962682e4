#include <gtest/gtest.h>

#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

TEST(Models, ListsAndGetsTheModel) {
  TestServer server;
  const Json list = server.exchange(get("/v1/models")).json();
  EXPECT_EQ(list.at("object"), "list");
  ASSERT_EQ(list.at("data").as_array().size(), 1u);
  const Json& model = list.at("data").at(0);
  EXPECT_EQ(model.at("id"), "toy");
  EXPECT_EQ(model.at("object"), "model");
  EXPECT_TRUE(model.at("created").is_int64());
  EXPECT_TRUE(model.at("owned_by").is_string());
  EXPECT_EQ(model.at("max_model_len"), 1024);
  EXPECT_EQ(model.at("capabilities").at("chat"), true);
  EXPECT_EQ(server.exchange(get("/v1/models/toy")).json(), model);
}

TEST(Models, NamesWithSlashesAndEscapes) {
  TestServer server;
  ServedModel model = toy_model();
  model.name = "org/toy model";
  server.http().set_model(std::move(model));
  EXPECT_EQ(server.exchange(get("/v1/models/org/toy%20model")).status, 200);
  EXPECT_EQ(server.exchange(get("/v1/models/org%2Ftoy%20model")).status, 200);
}

TEST(Models, OtherNamesAreNotFound) {
  TestServer server;
  const RawResponse response = server.exchange(get("/v1/models/gpt-4"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.json().at("error").at("code"), "model_not_found");
  EXPECT_EQ(server.chat(R"("model2":1)").status, 200);
  const RawResponse chat = server.exchange(post(
      "/v1/chat/completions", R"({"model":"gpt-4","messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(chat.status, 404);
  EXPECT_EQ(chat.json().at("error").at("param"), "model");
  EXPECT_EQ(server.completion(R"("prompt":"x","model":null)").status, 200);
}

}  // namespace
}  // namespace bundle::server
