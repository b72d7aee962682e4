#include "runtime/engine/logit_row.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace bundle::engine {
namespace {

constexpr std::size_t kRun = 128;
constexpr std::size_t kLanes = 8;
constexpr float kMasked = -std::numeric_limits<float>::infinity();

/// Independent lanes, since the compiler may not reorder one running maximum.
float largest(std::span<const float> x) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, kMasked);
  std::size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  }
  for (; i < x.size(); ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

/// e^x for x <= 0. e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2; e^r by its series to
/// the 7th power. Adding 1.5 · 2^23 rounds to whole numbers and leaves n in the low bits.
inline float exp_negative(float x) {
  constexpr float kToInteger = 12582912.0f;
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * 1.44269504f + kToInteger;
  const float n = shifted - kToInteger;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
  // A mask, not a branch: the loop around this must stay straight.
  const std::uint32_t mask = -static_cast<std::uint32_t>(x >= -87.0f);
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(p) + exponent) & mask);
}

}  // namespace

bool all_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7F800000;
  std::uint32_t bad = 0;
  for (const float value : values) {
    bad |=
        static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
  }
  return bad == 0;
}

void exp_below(std::span<const float> values, float max, float scale, float* out) {
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = exp_negative((values[i] - max) * scale);
}

void LogitRow::assign(std::span<const float> values) {
  values_ = values;
  run_max_.clear();
  for (std::size_t at = 0; at < values.size(); at += kRun) {
    run_max_.push_back(largest(values.subspan(at, std::min(kRun, values.size() - at))));
  }
  max_ = *std::max_element(run_max_.begin(), run_max_.end());
}

std::int32_t LogitRow::argmax() const {
  const std::size_t run = std::find(run_max_.begin(), run_max_.end(), max_) - run_max_.begin();
  const auto first = values_.begin() + static_cast<std::ptrdiff_t>(run * kRun);
  return static_cast<std::int32_t>(std::find(first, values_.end(), max_) - values_.begin());
}

void LogitRow::at_least(float threshold, std::vector<std::int32_t>& ids) const {
  ids.clear();
  for (std::size_t run = 0; run < run_max_.size(); ++run) {
    if (!(run_max_[run] >= threshold)) continue;
    const std::size_t end = std::min(values_.size(), (run + 1) * kRun);
    for (std::size_t i = run * kRun; i < end; ++i) {
      if (values_[i] >= threshold && values_[i] != kMasked) {
        ids.push_back(static_cast<std::int32_t>(i));
      }
    }
  }
}

void LogitRow::top(std::size_t n, std::vector<std::int32_t>& ids) const {
  // The n-th largest of the runs' maxima is no larger than the n-th largest of all.
  float threshold = kMasked;
  if (n > 0 && n <= run_max_.size()) {
    std::vector<float> maxima = run_max_;
    const auto nth = maxima.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(maxima.begin(), nth, maxima.end(), std::greater<>());
    threshold = *nth;
  }
  at_least(threshold, ids);
  const auto before = [this](std::int32_t a, std::int32_t b) {
    return values_[a] != values_[b] ? values_[a] > values_[b] : a < b;
  };
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(n, ids.size()));
  std::nth_element(ids.begin(), end, ids.end(), before);
  ids.erase(end, ids.end());
  std::sort(ids.begin(), ids.end(), before);
}

std::int32_t LogitRow::rank(std::int32_t id) const {
  const float value = values_[id];
  std::int32_t before = 0;
  for (const float other : values_) before += static_cast<std::int32_t>(other > value);
  for (const float other : values_.first(id)) before += static_cast<std::int32_t>(other == value);
  return before + 1;
}

double LogitRow::log_sum_exp() const {
  double sum = 0.0;
  for (const float value : values_) sum += std::exp(double{value} - double{max_});
  return double{max_} + std::log(sum);
}

}  // namespace bundle::engine
