#include "runtime/engine/sampler.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace bundle::engine {
namespace {

using testing::HasSubstr;

/// Chooses with temperature 0 from a row, given what a test sets.
struct Greedy {
  SamplingParams params;
  TokenHistory history;
  std::vector<std::int32_t> masked;

  Greedy() { params.temperature = 0.0; }
  Result<std::int32_t> operator()(const std::vector<float>& logits) const {
    Sampler sampler;
    return sampler.choose(logits, {params, history, masked, 0, 0});
  }
};

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOnATie) {
  EXPECT_EQ(*Greedy()({1.0f, 5.0f, 5.0f, 2.0f}), 1);
  EXPECT_EQ(*Greedy()({-0.0f, 0.0f}), 0);
  std::vector<float> wide(1000, 0.0f);
  wide[129] = wide[700] = 1.0f;
  EXPECT_EQ(*Greedy()(wide), 129);
}

TEST(Sampler, BiasMovesTheChoice) {
  Greedy greedy;
  greedy.params.logit_bias = {{2, 3.5f}, {1, -100.0f}};
  EXPECT_EQ(*greedy({1.0f, 4.0f, 0.0f}), 2);
}

TEST(Sampler, MaskedTokensNeverCome) {
  Greedy greedy;
  greedy.params.logit_bias = {{1, 100.0f}};  // bias cannot bring them back
  greedy.masked = {1};
  EXPECT_EQ(*greedy({1.0f, 9.0f, 0.0f}), 0);
  greedy.masked = {0, 1, 2};
  EXPECT_THAT(greedy({1.0f, 9.0f, 0.0f}).error().what, HasSubstr("no token is left"));
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegative) {
  Greedy greedy;
  greedy.params.repetition_penalty = 2.0;
  greedy.history.add_prompt(std::vector<std::int32_t>{0});
  EXPECT_EQ(*greedy({3.9f, 2.0f}), 1);  // 1.95
  EXPECT_EQ(*greedy({4.1f, 2.0f}), 0);
  EXPECT_EQ(*greedy({-1.0f, -1.9f}), 1);  // -2
  EXPECT_EQ(*greedy({-1.0f, -2.1f}), 0);
}

TEST(Sampler, FrequencyAndPresenceCountOutputsOnly) {
  Greedy greedy;
  greedy.history.add_prompt(std::vector<std::int32_t>{1, 1, 1});
  greedy.history.add_output(0);
  greedy.history.add_output(0);
  greedy.params.frequency_penalty = 0.5;
  EXPECT_EQ(*greedy({2.9f, 2.0f}), 1);  // 1.9
  EXPECT_EQ(*greedy({3.1f, 2.0f}), 0);
  greedy.params.frequency_penalty = 0.0;
  greedy.params.presence_penalty = 0.5;
  EXPECT_EQ(*greedy({2.4f, 2.0f}), 1);  // 1.9
  EXPECT_EQ(*greedy({2.6f, 2.0f}), 0);
}

TEST(Sampler, BiasComesBeforeTheRepetitionPenalty) {
  Greedy greedy;
  greedy.params.repetition_penalty = 2.0;
  greedy.params.logit_bias = {{0, 4.0f}};
  greedy.history.add_prompt(std::vector<std::int32_t>{0});
  EXPECT_EQ(*greedy({2.0f, 3.5f}), 1);  // (2 + 4) / 2 = 3, not 2 / 2 + 4 = 5
}

TEST(Sampler, ExtremeParametersStayFinite) {
  Greedy greedy;
  greedy.params.repetition_penalty = 1e-300;
  greedy.params.frequency_penalty = -1e300;
  greedy.params.logit_bias = {{1, 3e38f}};
  greedy.history.add_output(0);
  EXPECT_TRUE(greedy({1.0f, 3e38f, 0.0f}));
  greedy.params.temperature = 1e-300;
  EXPECT_EQ(*greedy({1.0f, 2.0f, 0.0f}), 0);
}

TEST(Sampler, LogitsThatAreNoNumbersAreAnError) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Greedy()({1.0f, nan}).error().what, HasSubstr("not finite"));
  EXPECT_FALSE(Greedy()({1.0f, std::numeric_limits<float>::infinity()}));
  Sampler sampler;
  EXPECT_FALSE(sampler.score(std::vector<float>{1.0f, nan}, 0, 1));
}

TEST(Sampler, ScoresAreLogSoftmaxWithRanks) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f, 3.0f};
  const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
  Sampler sampler;
  const ScoredToken scored = *sampler.score(logits, 2, 3);
  EXPECT_EQ(scored.chosen.token, 2);
  EXPECT_EQ(scored.chosen.rank, 3);
  EXPECT_NEAR(scored.chosen.logprob, 2.0 - std::log(sum), 1e-6);
  ASSERT_EQ(scored.top.size(), 3u);
  EXPECT_EQ(scored.top[0].token, 1);
  EXPECT_EQ(scored.top[1].token, 3);
  EXPECT_EQ(scored.top[1].rank, 2);
  EXPECT_EQ(scored.top[2].token, 2);
  EXPECT_NEAR(scored.top[0].logprob, 3.0 - std::log(sum), 1e-6);
}

TEST(Sampler, MoreCandidatesThanTokensGivesAll) {
  Sampler sampler;
  EXPECT_EQ(sampler.score(std::vector<float>{1.0f, 2.0f}, 0, 1000)->top.size(), 2u);
  EXPECT_TRUE(sampler.score(std::vector<float>{1.0f, 2.0f}, 0, 0)->top.empty());
}

TEST(Sampler, ScoresOfAWideRowAddUp) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> logits(5000);
  for (float& value : logits) value = normal(random);
  Sampler sampler;
  double total = 0.0;
  const ScoredToken scored = *sampler.score(logits, 0, 5000);
  for (const TokenLogprob& entry : scored.top) total += std::exp(double{entry.logprob});
  EXPECT_NEAR(total, 1.0, 1e-5);
}

TEST(Sampler, TheSameDrawGivesTheSameToken) {
  std::vector<float> logits(1000, 0.0f);
  SamplingParams params;
  const TokenHistory history;
  Sampler used;
  Sampler fresh;
  int different = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto first = *used.choose(logits, {params, history, {}, 5, i});
    EXPECT_EQ(first, *Sampler().choose(logits, {params, history, {}, 5, i}));
    different += first != *fresh.choose(logits, {params, history, {}, 6, i});
  }
  EXPECT_GT(different, 90);
}

TEST(CheckSampling, NamesWhatIsOutOfRange) {
  const auto wrong = [](auto change) {
    SamplingParams params;
    change(params);
    return check_sampling(params, 10).value_or("");
  };
  const double nan = std::nan("");
  EXPECT_EQ(wrong([](auto&) {}), "");
  EXPECT_THAT(wrong([](auto& p) { p.temperature = -0.1; }), HasSubstr("temperature"));
  EXPECT_THAT(wrong([&](auto& p) { p.temperature = nan; }), HasSubstr("temperature"));
  EXPECT_THAT(wrong([](auto& p) { p.temperature = INFINITY; }), HasSubstr("temperature"));
  EXPECT_THAT(wrong([](auto& p) { p.top_k = -1; }), HasSubstr("top_k"));
  EXPECT_THAT(wrong([](auto& p) { p.top_p = 1.01; }), HasSubstr("top_p"));
  EXPECT_THAT(wrong([&](auto& p) { p.top_p = nan; }), HasSubstr("top_p"));
  EXPECT_THAT(wrong([](auto& p) { p.min_p = -1; }), HasSubstr("min_p"));
  EXPECT_THAT(wrong([](auto& p) { p.repetition_penalty = 0; }), HasSubstr("repetition"));
  EXPECT_THAT(wrong([&](auto& p) { p.frequency_penalty = nan; }), HasSubstr("frequency"));
  EXPECT_THAT(wrong([&](auto& p) { p.presence_penalty = nan; }), HasSubstr("presence"));
  EXPECT_THAT(wrong([](auto& p) { p.max_tokens = -1; }), HasSubstr("max_tokens"));
  EXPECT_THAT(wrong([](auto& p) { p.min_tokens = -1; }), HasSubstr("min_tokens"));
  EXPECT_THAT(wrong([](auto& p) { p.logit_bias = {{10, 1.0f}}; }), HasSubstr("token 10"));
  EXPECT_THAT(wrong([](auto& p) { p.logit_bias = {{-1, 1.0f}}; }), HasSubstr("token -1"));
  EXPECT_THAT(wrong([](auto& p) { p.logit_bias = {{1, INFINITY}}; }), HasSubstr("finite"));
}

}  // namespace
}  // namespace bundle::engine
