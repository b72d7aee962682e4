// The sampler against a plain reference that sorts everything: which tokens are kept, and how
// often each is drawn.
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "runtime/engine/random.h"
#include "runtime/engine/sampler.h"

namespace bundle::engine {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

using Distribution = std::map<std::int32_t, double>;

/// min_p, top_k, top_p in that order, on probabilities.
Distribution reference(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<std::pair<double, std::int32_t>> sorted;
  double max = -INFINITY;
  for (const float x : logits) max = std::max(max, double{x});
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == kMasked) continue;
    sorted.emplace_back((double{logits[i]} - max) / params.temperature, static_cast<int>(i));
  }
  std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (auto& entry : sorted) entry.first = std::exp(entry.first);
  std::erase_if(sorted, [&](auto& entry) { return entry.first < params.min_p; });
  if (params.top_k > 0) sorted.resize(std::min<std::size_t>(sorted.size(), params.top_k));
  double total = 0.0;
  for (const auto& entry : sorted) total += entry.first;
  Distribution kept;
  double mass = 0.0;
  for (const auto& [p, id] : sorted) {
    kept[id] = p;
    mass += p;
    if (params.top_p < 1.0 && mass >= params.top_p * total) break;
  }
  for (auto& [id, p] : kept) p /= mass;
  return kept;
}

Distribution normalized(const Candidates& candidates) {
  Distribution result;
  double total = 0.0;
  const auto add = [&](std::int32_t id, double weight) {
    if (weight == 0.0) return;
    EXPECT_TRUE(result.emplace(id, weight).second) << "token " << id << " twice";
    total += weight;
  };
  if (candidates.all) {
    for (std::size_t i = 0; i < candidates.dense.size(); ++i) {
      add(static_cast<std::int32_t>(i), double{candidates.dense[i]});
    }
  } else {
    for (std::size_t i = 0; i < candidates.ids.size(); ++i) {
      add(candidates.ids[i], candidates.weights[i]);
    }
  }
  for (auto& [id, weight] : result) weight /= total;
  return result;
}

SamplingParams shifted(SamplingParams params, double by) {
  if (params.top_p < 1.0) params.top_p = std::clamp(params.top_p + by, 0.0, 1.0 - 1e-12);
  params.min_p = params.min_p > 0 ? std::max(0.0, params.min_p * (1.0 - by)) : 0.0;
  return params;
}

std::vector<float> random_logits(std::mt19937& random) {
  std::vector<float> logits(1 + random() % 3000);
  std::normal_distribution<float> normal(0.0f, 0.1f + static_cast<float>(random() % 60) / 10.0f);
  const bool ties = random() % 4 == 0;
  for (float& x : logits) {
    x = ties ? static_cast<float>(random() % 5) : normal(random);
    if (random() % 20 == 0) x = kMasked;
  }
  logits[random() % logits.size()] = 2.0f;
  return logits;
}

SamplingParams random_params(std::mt19937& random) {
  const double temperatures[] = {0.01, 0.3, 0.7, 1.0, 1.5, 10.0};
  const double top_ps[] = {1.0, 1.0, 0.0, 0.1, 0.5, 0.9, 0.95, 0.999};
  const double min_ps[] = {0.0, 0.0, 0.0, 0.01, 0.1, 0.5, 1.0};
  const std::int32_t top_ks[] = {0, 0, 0, 1, 2, 5, 40, 200, 2999};
  SamplingParams params;
  params.temperature = temperatures[random() % 6];
  params.top_p = top_ps[random() % 8];
  params.min_p = min_ps[random() % 7];
  params.top_k = top_ks[random() % 9];
  return params;
}

TEST(SamplerDistribution, KeepsWhatTheReferenceKeeps) {
  std::mt19937 random(11);
  Sampler sampler;
  LogitRow row;
  for (int round = 0; round < 3000; ++round) {
    const auto logits = random_logits(random);
    const SamplingParams params = random_params(random);
    row.assign(logits);
    const Distribution got = normalized(sampler.candidates(row, params));
    // Between the sets at bounds a rounding apart.
    const Distribution inner = reference(logits, shifted(params, -1e-6));
    const Distribution outer = reference(logits, shifted(params, 1e-6));
    SCOPED_TRACE(testing::Message()
                 << "round " << round << " T " << params.temperature << " k " << params.top_k
                 << " p " << params.top_p << " min " << params.min_p << " V " << logits.size());
    for (const auto& [id, p] : inner) {
      if (p > 1e-30) {
        ASSERT_TRUE(got.contains(id)) << id << " is missing";
      }
    }
    for (const auto& [id, p] : got) {
      ASSERT_TRUE(outer.contains(id)) << id << " is too much";
      if (inner.size() == outer.size()) {
        ASSERT_NEAR(p, inner.at(id), 1e-6 * (p + 1e-3));
      }
    }
  }
}

TEST(SamplerDistribution, DrawWalksTheWeights) {
  Candidates few;
  few.ids = {7, 3, 9};
  few.weights = {1.0, 2.0, 1.0};
  EXPECT_EQ(draw(few, 0.0), 7);
  EXPECT_EQ(draw(few, 0.2499), 7);
  EXPECT_EQ(draw(few, 0.25), 3);
  EXPECT_EQ(draw(few, 0.7499), 3);
  EXPECT_EQ(draw(few, 0.75), 9);
  EXPECT_EQ(draw(few, 1.0 - 1e-16), 9);
}

TEST(SamplerDistribution, DenseDrawSkipsTokensWithoutWeight) {
  Candidates all;
  all.all = true;
  all.dense.assign(1000, 0.0f);
  all.dense[300] = 1.0f;
  all.dense[301] = 1.0f;
  EXPECT_EQ(draw(all, 0.0), 300);
  EXPECT_EQ(draw(all, 0.4999), 300);
  EXPECT_EQ(draw(all, 0.5), 301);
  EXPECT_EQ(draw(all, 1.0 - 1e-16), 301);
}

/// Pearson's statistic of counted draws against the reference, divided by what chance allows at
/// p = 0.0001 (Wilson and Hilferty's approximation).
double chi_square_ratio(const std::vector<float>& logits, const SamplingParams& params, int draws,
                        std::map<std::int32_t, int> counts) {
  double statistic = 0.0;
  int bins = 0;
  double rare = 0.0;
  int rare_count = 0;
  for (const auto& [id, p] : reference(logits, params)) {
    const double expected = p * draws;
    const int count = counts[id];
    counts.erase(id);
    if (expected < 8.0) {
      rare += expected;
      rare_count += count;
      continue;
    }
    statistic += (count - expected) * (count - expected) / expected;
    ++bins;
  }
  for (const auto& [id, count] : counts) EXPECT_EQ(count, 0) << "token " << id << " was not kept";
  if (rare > 8.0) {
    statistic += (rare_count - rare) * (rare_count - rare) / rare;
    ++bins;
  }
  if (bins < 2) return 0.0;
  const double k = bins - 1;
  const double limit = k * std::pow(1 - 2 / (9 * k) + 3.719 * std::sqrt(2 / (9 * k)), 3);
  return statistic / limit;
}

double chi_square_ratio(const std::vector<float>& logits, const SamplingParams& params, int draws) {
  Sampler sampler;
  const TokenHistory history;
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < draws; ++i) {
    ++counts[*sampler.choose(logits, {params, history, {}, 99, static_cast<std::uint64_t>(i)})];
  }
  return chi_square_ratio(logits, params, draws, std::move(counts));
}

// However likely what may come is: seldom refused, nearly always, and with a mask in the end.
TEST(SamplerDistribution, TriedTokensFollowTheReferenceUnderAMask) {
  std::mt19937 random(31);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  SamplingParams params;
  const TokenHistory history;
  Sampler sampler;
  for (const unsigned allowed_in_100 : {90u, 40u, 3u}) {
    std::vector<float> logits(700), masked(700, kMasked);
    std::vector<std::int32_t> mask(22, 0);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      logits[i] = normal(random);
      if (random() % 100 >= allowed_in_100) continue;
      masked[i] = logits[i];
      mask[i / 32] |= static_cast<std::int32_t>(1u << (i % 32));
    }
    const auto may = [&](std::int32_t id) {
      return masked[static_cast<std::size_t>(id)] != kMasked;
    };
    std::map<std::int32_t, int> counts;
    int by_mask = 0;
    constexpr int kDraws = 60000;
    for (int i = 0; i < kDraws; ++i) {
      SampleContext context{params, history, {}, 99, static_cast<std::uint64_t>(i)};
      auto token = *sampler.try_tokens(logits, context, may);
      if (!token) {
        ++by_mask;
        context.allowed = mask;
        token = *sampler.choose_allowed(context);
      }
      ++counts[*token];
    }
    EXPECT_LT(chi_square_ratio(masked, params, kDraws, counts), 1.0) << allowed_in_100;
    EXPECT_EQ(by_mask > kDraws / 10, allowed_in_100 == 3) << by_mask;
  }
}

TEST(SamplerDistribution, TheLikeliestThatMayComeIsFound) {
  SamplingParams params;
  params.temperature = 0;
  const TokenHistory history;
  Sampler sampler;
  std::vector<float> logits;
  for (int i = 0; i < 500; ++i) logits.push_back(static_cast<float>(i));
  for (const std::int32_t best : {499, 497, 492}) {
    const auto may = [best](std::int32_t id) { return id <= best; };
    EXPECT_EQ(**sampler.try_tokens(logits, {params, history, {}, 1, 0}, may), best);
  }
  const auto hardly = [](std::int32_t id) { return id < 400; };
  SampleContext context{params, history, {}, 1, 0};
  EXPECT_FALSE(*sampler.try_tokens(logits, context, hardly));
  std::vector<std::int32_t> mask(16, 0);
  for (std::size_t id = 0; id < 400; ++id)
    mask[id / 32] |= static_cast<std::int32_t>(1u << id % 32);
  context.allowed = mask;
  EXPECT_EQ(*sampler.choose_allowed(context), 399);
}

// Their weights beside the likeliest's are nothing that a float holds.
TEST(SamplerDistribution, WhatMayComeIsDrawnHoweverUnlikelyItIs) {
  SamplingParams params;
  const TokenHistory history;
  Sampler sampler;
  std::vector<float> logits(64, -500.0f);
  logits[3] = 500.0f;
  const std::vector<std::int32_t> mask = {1 << 5, 1 << 1};
  std::map<std::int32_t, int> counts;
  for (std::uint64_t i = 0; i < 400; ++i) {
    SampleContext context{params, history, {}, 7, i};
    const auto may = [](std::int32_t id) { return id == 5 || id == 33; };
    ASSERT_FALSE(*sampler.try_tokens(logits, context, may));
    context.allowed = mask;
    ++counts[*sampler.choose_allowed(context)];
  }
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_GT(counts[5], 120);
  EXPECT_GT(counts[33], 120);
}

TEST(SamplerDistribution, DrawsFollowTheReference) {
  std::mt19937 random(21);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  std::vector<float> logits(700);
  for (float& x : logits) x = normal(random);
  const auto with = [](double temperature, std::int32_t k, double p, double min_p) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_k = k;
    params.top_p = p;
    params.min_p = min_p;
    return params;
  };
  EXPECT_LT(chi_square_ratio(logits, with(1.0, 0, 1.0, 0.0), 60000), 1.0);
  EXPECT_LT(chi_square_ratio(logits, with(0.6, 0, 0.95, 0.0), 60000), 1.0);
  EXPECT_LT(chi_square_ratio(logits, with(1.3, 50, 1.0, 0.0), 60000), 1.0);
  EXPECT_LT(chi_square_ratio(logits, with(1.0, 0, 1.0, 0.05), 60000), 1.0);
  EXPECT_LT(chi_square_ratio(logits, with(0.8, 40, 0.9, 0.02), 60000), 1.0);
  EXPECT_LT(chi_square_ratio(logits, with(2.0, 0, 0.5, 0.01), 60000), 1.0);
}

}  // namespace
}  // namespace bundle::engine
