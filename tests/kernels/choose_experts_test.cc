// Every published routing rule on small cases worked out by hand, and the rule's laws on random
// ones.
#include "runtime/kernels/choose_experts.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "tests/kernels/random_weights.h"

namespace bundle::kernels {
namespace {

using testing::ElementsAre;
using testing::FloatNear;

struct Choice {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
};

Choice choose(const std::vector<float>& logits, RouterShape shape,
              const std::vector<float>& bias = {}) {
  shape.experts = static_cast<std::int64_t>(logits.size());
  Choice choice{std::vector<std::int32_t>(static_cast<std::size_t>(shape.top_k)),
                std::vector<float>(static_cast<std::size_t>(shape.top_k))};
  choose_experts(logits.data(), shape, bias.empty() ? nullptr : bias.data(), choice.experts.data(),
                 choice.weights.data());
  return choice;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

std::vector<float> logs(const std::vector<float>& values) {
  std::vector<float> out;
  for (const float value : values) out.push_back(std::log(value));
  return out;
}

TEST(ChooseExpertsTest, SoftmaxIsOverAllExperts) {
  // DeepSeek-V2-Lite: greedy, not normalized.
  const Choice choice = choose(logs({0.1f, 0.4f, 0.2f, 0.3f}), {.top_k = 2});
  EXPECT_THAT(choice.experts, ElementsAre(1, 3));
  EXPECT_THAT(choice.weights, ElementsAre(FloatNear(0.4f, 1e-6f), FloatNear(0.3f, 1e-6f)));
}

TEST(ChooseExpertsTest, NormalizedWeightsSumToTheScale) {
  // Mixtral and Qwen3-MoE with scale 1; DeepSeek-V3 scales by 2.5.
  const Choice choice =
      choose(logs({0.1f, 0.4f, 0.2f, 0.3f}), {.top_k = 2, .normalize = true, .scale = 2.5f});
  EXPECT_THAT(choice.weights,
              ElementsAre(FloatNear(2.5f * 4 / 7, 1e-6f), FloatNear(2.5f * 3 / 7, 1e-6f)));
}

TEST(ChooseExpertsTest, ScaleMultipliesWithoutNormalizing) {
  // DeepSeek-V2: routed_scaling_factor 16.
  const Choice choice = choose(logs({0.1f, 0.4f, 0.2f, 0.3f}), {.top_k = 1, .scale = 16.0f});
  EXPECT_THAT(choice.weights, ElementsAre(FloatNear(6.4f, 1e-5f)));
}

TEST(ChooseExpertsTest, GroupsByTheirBestExpert) {
  // The second group has the best expert, the first the next three: group_limited_greedy takes the
  // second group's two.
  const Choice choice = choose(logs({0.2f, 0.19f, 0.18f, 0.3f, 0.05f, 0.08f}),
                               {.top_k = 2, .groups = 2, .top_groups = 1});
  EXPECT_THAT(choice.experts, ElementsAre(3, 5));
}

TEST(ChooseExpertsTest, GroupsByTheirTwoBest) {
  const std::vector<float> logits = {0.5f, 0.4f, 0.0f, 0.7f, -3.0f, -3.0f};
  const RouterShape shape{
      .top_k = 2, .groups = 2, .top_groups = 1, .group_best = 2, .sigmoid = true};
  const Choice choice = choose(logits, shape);
  EXPECT_THAT(choice.experts, ElementsAre(0, 1));
  EXPECT_THAT(choice.weights,
              ElementsAre(FloatNear(sigmoid(0.5f), 1e-6f), FloatNear(sigmoid(0.4f), 1e-6f)));
}

TEST(ChooseExpertsTest, BiasSteersTheChoiceAndNotTheWeight) {
  const Choice choice =
      choose({0.0f, 1.0f, 2.0f}, {.top_k = 1, .sigmoid = true}, {0.9f, 0.0f, 0.0f});
  EXPECT_THAT(choice.experts, ElementsAre(0));
  EXPECT_THAT(choice.weights, ElementsAre(FloatNear(0.5f, 1e-6f)));
}

TEST(ChooseExpertsTest, ExpertsOutsideTheGroupsNeverWin) {
  // All choices of the kept group are negative.
  const Choice choice = choose({-5.0f, -5.0f, -6.0f, -6.0f},
                               {.top_k = 2, .groups = 2, .top_groups = 1, .sigmoid = true},
                               {-0.5f, -0.5f, -0.9f, -0.9f});
  EXPECT_THAT(choice.experts, ElementsAre(0, 1));
}

TEST(ChooseExpertsTest, TiesGoToTheLowerNumber) {
  EXPECT_THAT(choose({1.0f, 1.0f, 1.0f, 1.0f}, {.top_k = 3}).experts, ElementsAre(0, 1, 2));
}

TEST(ChooseExpertsTest, HugeLogitsStayFinite) {
  const Choice choice = choose({1e4f, -1e4f, 9e3f}, {.top_k = 2, .normalize = true});
  EXPECT_THAT(choice.weights, ElementsAre(FloatNear(1.0f, 1e-6f), FloatNear(0.0f, 1e-6f)));
}

TEST(ChooseExpertsTest, RandomChoicesAreDistinctOrderedAndWithinTheirGroups) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> logits = random_floats(64, seed);
    const std::vector<float> bias = random_floats(64, seed + 1000);
    const Choice choice = choose(logits,
                                 {.top_k = 6,
                                  .groups = 8,
                                  .top_groups = 3,
                                  .group_best = 2,
                                  .sigmoid = true,
                                  .normalize = true},
                                 bias);
    std::vector<std::int32_t> sorted = choice.experts;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
    std::vector<std::int32_t> groups;
    for (const std::int32_t e : sorted) groups.push_back(e / 8);
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    EXPECT_LE(groups.size(), 3u);
    for (std::size_t k = 1; k < choice.experts.size(); ++k) {
      const auto value = [&](std::size_t i) {
        const auto e = static_cast<std::size_t>(choice.experts[i]);
        return sigmoid(logits[e]) + bias[e];
      };
      EXPECT_GE(value(k - 1), value(k));
    }
    EXPECT_NEAR(std::accumulate(choice.weights.begin(), choice.weights.end(), 0.0f), 1.0f, 1e-5f);
  }
}

}  // namespace
}  // namespace bundle::kernels
