#include "runtime/engine/logit_row.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace bundle::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<std::int32_t> sorted_ids(const std::vector<float>& values) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != -kInfinity) ids.push_back(static_cast<std::int32_t>(i));
  }
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::int32_t a, std::int32_t b) { return values[a] > values[b]; });
  return ids;
}

/// Few distinct values give ties; some are masked.
std::vector<float> random_row(std::mt19937& random, std::size_t size) {
  std::vector<float> values(size);
  const bool ties = random() % 2 == 0;
  std::normal_distribution<float> normal(0.0f, 5.0f);
  for (float& value : values) {
    value = ties ? static_cast<float>(random() % 7) : normal(random);
    if (random() % 16 == 0) value = -kInfinity;
  }
  values[random() % size] = 1.0f;
  return values;
}

TEST(LogitRow, AgreesWithSortingTheRow) {
  std::mt19937 random(1);
  LogitRow row;
  for (int round = 0; round < 400; ++round) {
    const auto values = random_row(random, 1 + random() % 2000);
    const auto expected = sorted_ids(values);
    row.assign(values);
    EXPECT_EQ(row.max(), values[expected.front()]);
    EXPECT_EQ(row.argmax(), expected.front());
    std::vector<std::int32_t> top;
    const std::size_t n = random() % (values.size() + 10);
    row.top(n, top);
    ASSERT_EQ(top, std::vector(expected.begin(),
                               expected.begin() +
                                   static_cast<std::ptrdiff_t>(std::min(n, expected.size()))));
    for (int i = 0; i < 5; ++i) {
      const std::size_t place = random() % expected.size();
      EXPECT_EQ(row.rank(expected[place]), static_cast<std::int32_t>(place) + 1);
    }
  }
}

TEST(LogitRow, AtLeastKeepsIdOrderAndLeavesMaskedOut) {
  const std::vector<float> values = {1.0f, -kInfinity, 3.0f, 2.0f, 3.0f};
  LogitRow row;
  row.assign(values);
  std::vector<std::int32_t> ids;
  row.at_least(2.0f, ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{2, 3, 4}));
  row.at_least(-kInfinity, ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{0, 2, 3, 4}));
}

TEST(LogitRow, LogSumExpSurvivesLargeValues) {
  const std::vector<float> values = {1000.0f, 1000.0f, -1000.0f, -kInfinity};
  LogitRow row;
  row.assign(values);
  EXPECT_NEAR(row.log_sum_exp(), 1000.0 + std::log(2.0), 1e-9);
}

TEST(LogitRow, AllMasked) {
  const std::vector<float> values(300, -kInfinity);
  LogitRow row;
  row.assign(values);
  EXPECT_EQ(row.max(), -kInfinity);
  std::vector<std::int32_t> ids;
  row.top(5, ids);
  EXPECT_TRUE(ids.empty());
}

TEST(AllFinite, FindsEachKindAnywhere) {
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{7}, std::size_t{998}}) {
      std::vector<float> values(999, -3.4e38f);
      EXPECT_TRUE(all_finite(values));
      values[place] = bad;
      EXPECT_FALSE(all_finite(values));
    }
  }
}

float exp_of(float x) {
  float out = -1.0f;
  exp_below({&x, 1}, 0.0f, 1.0f, &out);
  return out;
}

TEST(ExpBelow, IsExactToThreeUnits) {
  for (float x = 0.0f; x > -87.0f; x -= 0.0137f) {
    EXPECT_NEAR(exp_of(x) / std::exp(double{x}), 1.0, 3.6e-7) << x;
  }
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-87.5f), 0.0f);
  EXPECT_EQ(exp_of(-kInfinity), 0.0f);
}

TEST(ExpBelow, ShiftsAndScales) {
  const std::vector<float> values = {3.0f, 1.0f, -kInfinity};
  std::vector<float> out(3);
  exp_below(values, 3.0f, 0.5f, out.data());
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_NEAR(out[1], std::exp(-1.0), 1e-7);
  EXPECT_EQ(out[2], 0.0f);
  exp_below(values, 3.0f, 1e30f, out.data());
  EXPECT_EQ(out, (std::vector<float>{1.0f, 0.0f, 0.0f}));
}

TEST(LogitRow, LogSumExpIsExactInDouble) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0.0f, 6.0f);
  std::vector<float> values(1003);
  for (float& value : values) value = normal(random);
  double exact = 0.0;
  for (const float value : values) exact += std::exp(double{value});
  LogitRow row;
  row.assign(values);
  EXPECT_NEAR(row.log_sum_exp(), std::log(exact), 1e-13);
}

}  // namespace
}  // namespace bundle::engine
