#include "runtime/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/engine/random.h"

namespace bundle::engine {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr float kBound = 1e30f;        // adjusted logits stay finite, whatever the parameters
constexpr std::size_t kStretch = 256;  // of the dense draw

double penalized(double logit, std::int32_t outputs, const SamplingParams& params) {
  const double repeated =
      logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
  return repeated - params.frequency_penalty * outputs -
         (outputs > 0 ? params.presence_penalty : 0);
}

/// What logits are multiplied by.
float scale_of(double temperature) { return static_cast<float>(std::min(1.0 / temperature, 1e30)); }

/// Weights in [0, 1] sorted coarsely: 32 shelves for each power of two, larger weights higher.
constexpr int kShelfShift = 18;
constexpr std::size_t kShelves = (std::bit_cast<std::uint32_t>(1.0f) >> kShelfShift) + 1;

std::size_t shelf_of(float w) { return std::bit_cast<std::uint32_t>(w) >> kShelfShift; }

double sum(std::span<const float> values) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += double{values[i + l]};
  }
  for (; i < values.size(); ++i) lanes[0] += double{values[i]};
  double total = 0.0;
  for (const double lane : lanes) total += lane;
  return total;
}

void truncate(Candidates& candidates, std::size_t count) {
  candidates.ids.resize(count);
  candidates.weights.resize(count);
}

/// Cuts sorted candidates after the one at which their weights reach `goal`; at least one stays.
void cut_at(Candidates& candidates, double goal) {
  double reached = 0.0;
  for (std::size_t i = 0; i < candidates.weights.size(); ++i) {
    reached += candidates.weights[i];
    if (reached >= goal) return truncate(candidates, i + 1);
  }
}

double total_weight(const std::vector<double>& weights) {
  double total = 0.0;
  for (const double w : weights) total += w;
  return total;
}

/// Bit i of word i / 32 says whether value i stays.
void set_all_but(std::span<const std::int32_t> kept, float to, std::vector<float>& values) {
  for (std::size_t begin = 0; begin < values.size(); begin += 32) {
    const std::size_t end = std::min(begin + 32, values.size());
    const std::size_t word = begin / 32;
    const auto bits = word < kept.size() ? static_cast<std::uint32_t>(kept[word]) : 0U;
    if (bits == ~0U) continue;
    for (std::size_t i = begin; i < end; ++i) {
      if ((bits >> (i - begin) & 1U) == 0) values[i] = to;
    }
  }
}

}  // namespace

void DenseSums::assign(std::span<const float> weights) {
  sums_.clear();
  for (std::size_t at = 0; at < weights.size(); at += kStretch) {
    sums_.push_back(sum(weights.subspan(at, std::min(kStretch, weights.size() - at))));
  }
}

void DenseSums::refresh(std::span<const float> weights, std::int32_t id) {
  const std::size_t stretch = static_cast<std::size_t>(id) / kStretch;
  const std::size_t at = stretch * kStretch;
  sums_[stretch] = sum(weights.subspan(at, std::min(kStretch, weights.size() - at)));
}

double DenseSums::total() const { return total_weight(sums_); }

std::int32_t DenseSums::draw(std::span<const float> weights, double u) const {
  const double goal = u * total();
  double reached = 0.0;
  std::size_t stretch = 0;
  while (stretch + 1 < sums_.size() && reached + sums_[stretch] <= goal) {
    reached += sums_[stretch++];
  }
  std::size_t last = weights.size();
  for (std::size_t i = stretch * kStretch; i < weights.size(); ++i) {
    if (weights[i] == 0.0f) continue;
    last = i;
    reached += double{weights[i]};
    if (reached > goal) break;
  }
  // Rounding can carry the goal past the end of a last stretch of zeros: take what came before.
  while (last == weights.size() || weights[last] == 0.0f) --last;
  return static_cast<std::int32_t>(last);
}

Error no_numbers() { return failed("the model gave logits that are not finite"); }

bool uses_history(const SamplingParams& params) {
  return params.repetition_penalty != 1.0 || params.frequency_penalty != 0.0 ||
         params.presence_penalty != 0.0;
}

std::int32_t draw(const Candidates& candidates, double u) {
  if (candidates.all) {
    DenseSums sums;
    sums.assign(candidates.dense);
    return sums.draw(candidates.dense, u);
  }
  const double goal = u * total_weight(candidates.weights);
  double reached = 0.0;
  for (std::size_t i = 0; i < candidates.ids.size(); ++i) {
    reached += candidates.weights[i];
    if (reached > goal) return candidates.ids[i];
  }
  return candidates.ids.back();
}

bool changes_logits(const SampleContext& context) {
  return !context.params.logit_bias.empty() || !context.masked.empty() ||
         !context.allowed.empty() || uses_history(context.params);
}

kernels::TokenChoice choice_of(const SampleContext& context) {
  const SamplingParams& params = context.params;
  kernels::TokenChoice choice;
  choice.temperature = params.temperature;
  choice.top_k = params.top_k;
  choice.top_p = params.top_p;
  choice.min_p = params.min_p;
  if (params.temperature > 0.0) choice.uniform = uniform(context.seed, context.draw);
  return choice;
}

Result<std::int32_t> Sampler::choose(std::span<const float> logits, const SampleContext& context) {
  if (!all_finite(logits)) return no_numbers();
  row_.assign(logits);
  if (changes_logits(context)) {
    adjusted_.assign(logits.begin(), logits.end());
    adjust(context);
    row_.assign(adjusted_);
  }
  if (row_.max() == kMasked) return failed("no token is left to choose from");
  if (context.params.temperature == 0.0) return row_.argmax();
  return draw(candidates(row_, context.params), uniform(context.seed, context.draw));
}

bool Sampler::can_try(const SamplingParams& params) {
  return params.temperature == 0.0 ||
         (params.top_k <= 0 && params.top_p >= 1.0 && params.min_p <= 0.0);
}

Result<std::optional<std::int32_t>> Sampler::try_tokens(std::span<const float> logits,
                                                        const SampleContext& context,
                                                        const Take& take) {
  if (!all_finite(logits)) return no_numbers();
  adjusted_.assign(logits.begin(), logits.end());
  adjust(context);
  row_.assign(adjusted_);
  if (row_.max() == kMasked) return failed("no token is left to choose from");
  return context.params.temperature == 0.0 ? try_likeliest(take) : try_draws(context, take);
}

std::optional<std::int32_t> Sampler::try_likeliest(const Take& take) {
  for (int i = 0; i < kTries && row_.max() != kMasked; ++i) {
    const std::int32_t id = row_.argmax();
    if (take(id)) return id;
    adjusted_[id] = kMasked;
    row_.assign(adjusted_);
  }
  return std::nullopt;
}

/// Each try has a random number of its own: what was refused says nothing of the next.
std::optional<std::int32_t> Sampler::try_draws(const SampleContext& context, const Take& take) {
  keep_all(row_, context.params.temperature);
  std::vector<float>& weights = candidates_.dense;
  sums_.assign(weights);
  for (int i = 0; i < kTries && sums_.total() > 0.0; ++i) {
    const auto index = static_cast<std::uint64_t>(i);
    const std::uint64_t seed = i == 0 ? context.seed : derive_seed(context.seed, index);
    const std::int32_t id = sums_.draw(weights, uniform(seed, context.draw));
    if (take(id)) return id;
    weights[static_cast<std::size_t>(id)] = 0.0f;
    sums_.refresh(weights, id);
  }
  return std::nullopt;
}

Result<std::int32_t> Sampler::choose_allowed(const SampleContext& context) {
  const SamplingParams& params = context.params;
  const std::uint64_t seed = derive_seed(context.seed, kTries);
  if (params.temperature > 0.0 && keep_allowed_weights(context.allowed)) {
    return sums_.draw(candidates_.dense, uniform(seed, context.draw));
  }
  // What is allowed may be too unlikely beside the rest to have kept a weight.
  if (!context.allowed.empty()) set_all_but(context.allowed, kMasked, adjusted_);
  row_.assign(adjusted_);
  if (row_.max() == kMasked) return failed("no token is left to choose from");
  if (params.temperature == 0.0) return row_.argmax();
  return draw(candidates(row_, params), uniform(seed, context.draw));
}

bool Sampler::keep_allowed_weights(std::span<const std::int32_t> allowed) {
  if (!allowed.empty()) set_all_but(allowed, 0.0f, candidates_.dense);
  sums_.assign(candidates_.dense);
  return sums_.total() > 0.0;
}

void Sampler::adjust(const SampleContext& context) {
  const SamplingParams& params = context.params;
  const auto set = [this](std::int32_t id, double value) {
    adjusted_[id] = static_cast<float>(std::clamp<double>(value, -kBound, kBound));
  };
  for (const auto& [id, bias] : params.logit_bias) set(id, double{adjusted_[id]} + bias);
  if (uses_history(params)) {
    for (const auto& [id, outputs] : context.history.outputs()) {
      set(id, penalized(adjusted_[id], outputs, params));
    }
  }
  for (const std::int32_t id : context.masked) adjusted_[id] = kMasked;
  if (!context.allowed.empty()) set_all_but(context.allowed, kMasked, adjusted_);
}

const Candidates& Sampler::candidates(const LogitRow& row, const SamplingParams& params) {
  candidates_.all = false;
  candidates_.ids.clear();
  candidates_.weights.clear();
  const auto vocabulary = static_cast<std::int64_t>(row.values().size());
  if (params.top_k > 0 && params.top_k < vocabulary) {
    keep_top(row, params);
  } else if (params.min_p > 0.0) {
    keep_likely(row, params);
  } else {
    keep_all(row, params.temperature);
    if (params.top_p < 1.0) keep_nucleus(row, params);
  }
  return candidates_;
}

float Sampler::least_value(const LogitRow& row, const SamplingParams& params) {
  const double threshold = double{row.max()} + params.temperature * std::log(params.min_p);
  // Rounded to float it could exclude the likeliest token itself.
  return std::min(row.max(), static_cast<float>(threshold));
}

void Sampler::weigh(const LogitRow& row, double temperature) {
  std::vector<float>& weights = candidates_.dense;
  weights.clear();
  for (const std::int32_t id : candidates_.ids) weights.push_back(row.values()[id]);
  exp_below(weights, row.max(), scale_of(temperature), weights.data());
  candidates_.weights.assign(weights.begin(), weights.end());
}

void Sampler::cut_and_weigh(const LogitRow& row, const SamplingParams& params) {
  weigh(row, params.temperature);
  if (params.top_p < 1.0) cut_at(candidates_, params.top_p * total_weight(candidates_.weights));
  std::sort(candidates_.ids.begin(), candidates_.ids.end());
  weigh(row, params.temperature);
}

void Sampler::keep_top(const LogitRow& row, const SamplingParams& params) {
  row.top(static_cast<std::size_t>(params.top_k), candidates_.ids);
  if (params.min_p > 0.0) {
    const float least = least_value(row, params);
    std::erase_if(candidates_.ids, [&](std::int32_t id) { return row.values()[id] < least; });
  }
  cut_and_weigh(row, params);
}

void Sampler::keep_likely(const LogitRow& row, const SamplingParams& params) {
  row.at_least(least_value(row, params), candidates_.ids);
  if (params.top_p >= 1.0) return weigh(row, params.temperature);
  const auto values = row.values();
  std::sort(candidates_.ids.begin(), candidates_.ids.end(), [&](std::int32_t a, std::int32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  cut_and_weigh(row, params);
}

void Sampler::keep_all(const LogitRow& row, double temperature) {
  candidates_.all = true;
  candidates_.dense.resize(row.values().size());
  exp_below(row.values(), row.max(), scale_of(temperature), candidates_.dense.data());
}

void Sampler::keep_nucleus(const LogitRow& row, const SamplingParams& params) {
  const std::vector<float>& weights = candidates_.dense;
  const double goal = params.top_p * sum(weights);
  // The shelf on which the goal is reached; those above it are kept whole, it alone is sorted.
  shelves_.assign(kShelves, 0.0);
  for (const float w : weights) shelves_[shelf_of(w)] += double{w};
  std::size_t last = kShelves - 1;
  double reached = 0.0;
  while (last > 0 && reached + shelves_[last] < goal) reached += shelves_[last--];

  std::vector<std::int32_t>& ids = candidates_.ids;
  std::vector<std::int32_t> edge;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::size_t shelf = shelf_of(weights[i]);
    if (shelf < last || weights[i] == 0.0f) continue;
    (shelf == last ? edge : ids).push_back(static_cast<std::int32_t>(i));
  }
  const auto values = row.values();
  std::sort(edge.begin(), edge.end(), [&](std::int32_t a, std::int32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  const auto above = static_cast<std::ptrdiff_t>(ids.size());
  for (const std::int32_t id : edge) {
    if (reached >= goal && !ids.empty()) break;
    ids.push_back(id);
    reached += double{weights[id]};
  }
  std::sort(ids.begin() + above, ids.end());
  std::inplace_merge(ids.begin(), ids.begin() + above, ids.end());
  for (const std::int32_t id : ids) candidates_.weights.push_back(double{weights[id]});
  candidates_.all = false;
}

Result<ScoredToken> Sampler::score(std::span<const float> logits, std::int32_t token,
                                   std::int32_t top) {
  if (!all_finite(logits)) return no_numbers();
  row_.assign(logits);
  const double log_sum = row_.log_sum_exp();
  const auto logprob = [&](std::int32_t id) {
    return static_cast<float>(double{logits[id]} - log_sum);
  };
  ScoredToken scored{{token, logprob(token), row_.rank(token)}, {}};
  std::vector<std::int32_t> ids;
  if (top > 0) row_.top(static_cast<std::size_t>(top), ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    scored.top.push_back({ids[i], logprob(ids[i]), static_cast<std::int32_t>(i) + 1});
  }
  return scored;
}

}  // namespace bundle::engine
