#include "tests/launch/greedy_check.h"

#include <gtest/gtest.h>

namespace bundle::launch {

std::vector<std::int32_t> generate(const RunningServer& server, const golden::Prompt& prompt) {
  JsonArray tokens;
  for (const std::int32_t token : prompt.tokens) tokens.emplace_back(token);
  const auto response =
      server.post("/v1/completions", JsonObject{{"model", "golden"},
                                                {"prompt", std::move(tokens)},
                                                {"max_tokens", prompt.greedy.size()},
                                                {"temperature", 0},
                                                {"ignore_eos", true},
                                                {"return_token_ids", true}});
  EXPECT_TRUE(response) << response.error().message();
  if (!response) return {};
  EXPECT_EQ(response->status, 200) << response->body;
  if (response->status != 200) return {};
  const Json body = *parse_json(response->body, "answer");
  std::vector<std::int32_t> ids;
  for (const Json& id : body.at("choices").at(0).at("token_ids").as_array()) {
    ids.push_back(id.to_number<std::int32_t>());
  }
  return ids;
}

void expect_greedy(const RunningServer& server, const golden::Prompt& prompt, double tolerance) {
  const std::vector<std::int32_t> got = generate(server, prompt);
  for (std::size_t i = 0; i < prompt.greedy.size(); ++i) {
    if (prompt.greedy_margin[i] < 2 * tolerance) break;
    ASSERT_LT(i, got.size());
    ASSERT_EQ(got[i], prompt.greedy[i]) << "step " << i;
  }
}

}  // namespace bundle::launch
