#include "runtime/kernels/choose_experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace bundle::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
/// Keeps the quotient finite where all scores vanish; as published.
constexpr float kTinySum = 1e-20f;

std::vector<float> scores_of(const float* logits, const RouterShape& shape) {
  std::vector<float> scores(logits, logits + shape.experts);
  if (shape.sigmoid) {
    for (float& score : scores) score = 1.0f / (1.0f + std::exp(-score));
    return scores;
  }
  const float top = *std::max_element(scores.begin(), scores.end());
  float sum = 0.0f;
  for (float& score : scores) sum += score = std::exp(score - top);
  for (float& score : scores) score /= sum;
  return scores;
}

/// Indices of the `count` largest values, largest first, the lower index on a tie.
std::vector<std::int64_t> largest_of(const std::vector<float>& values, std::int64_t count) {
  std::vector<std::int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](std::int64_t a, std::int64_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + count, order.end(), before);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// Sets the choices of all groups but the best to never.
void keep_best_groups(const RouterShape& shape, std::vector<float>& choices) {
  const std::int64_t size = shape.experts / shape.groups;
  std::vector<float> group_scores;
  for (std::int64_t g = 0; g < shape.groups; ++g) {
    std::vector<float> members(choices.begin() + g * size, choices.begin() + (g + 1) * size);
    float sum = 0.0f;
    for (const std::int64_t best : largest_of(members, shape.group_best)) sum += members[best];
    group_scores.push_back(sum);
  }
  std::vector<bool> kept(static_cast<std::size_t>(shape.groups));
  for (const std::int64_t g : largest_of(group_scores, shape.top_groups)) kept[g] = true;
  for (std::int64_t e = 0; e < shape.experts; ++e) {
    if (!kept[e / size]) choices[e] = kNever;
  }
}

}  // namespace

void choose_experts(const float* logits, const RouterShape& shape, const float* bias,
                    std::int32_t* experts, float* weights) {
  const std::vector<float> scores = scores_of(logits, shape);
  std::vector<float> choices = scores;
  for (std::int64_t e = 0; bias != nullptr && e < shape.experts; ++e) choices[e] += bias[e];
  if (shape.top_groups < shape.groups) keep_best_groups(shape, choices);
  float sum = 0.0f;
  std::int64_t k = 0;
  for (const std::int64_t e : largest_of(choices, shape.top_k)) {
    experts[k] = static_cast<std::int32_t>(e);
    weights[k] = scores[e];
    sum += scores[e];
    ++k;
  }
  const float divisor = shape.normalize ? sum + kTinySum : 1.0f;
  for (k = 0; k < shape.top_k; ++k) weights[k] = weights[k] / divisor * shape.scale;
}

}  // namespace bundle::kernels
