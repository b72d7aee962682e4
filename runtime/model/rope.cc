// Every scaling starts from f(i) = theta^(-2i/dim) and changes it by wavelength: high frequencies,
// which turn many times within the original context, stay; low ones are divided by `factor`.
// Steps are rounded to float where transformers, which computes on float tensors, rounds them.
#include "runtime/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

namespace bundle::model {
namespace {

using format::RopeConfig;
using Kind = RopeConfig::Kind;

/// theta^(2i/dim) for each pair: the inverse of the unscaled frequencies.
std::vector<float> period_factors(double theta, std::int64_t dim) {
  std::vector<float> factors;
  for (std::int64_t i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    factors.push_back(static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return factors;
}

/// Llama 3: kept below one wavelength, divided above another, blended between.
float llama3_frequency(const RopeConfig& config, float frequency) {
  const double context = static_cast<double>(config.original_max_positions);
  const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(frequency);
  if (wavelength < context / config.high_freq_factor) return frequency;
  const float divided = frequency / static_cast<float>(config.factor);
  if (wavelength > context / config.low_freq_factor) return divided;
  const double smooth = (context / wavelength - config.low_freq_factor) /
                        (config.high_freq_factor - config.low_freq_factor);
  return static_cast<float>((1.0 - smooth) * divided + smooth * frequency);
}

/// YaRN's pair index at which a wave turns `rotations` times within the original context.
double correction_index(const RopeConfig& config, double rotations, std::int64_t dim) {
  const double context = static_cast<double>(config.original_max_positions);
  return static_cast<double>(dim) * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(config.theta));
}

std::vector<float> yarn_frequencies(const RopeConfig& config, std::int64_t dim) {
  double low = correction_index(config, config.beta_fast, dim);
  double high = correction_index(config, config.beta_slow, dim);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;  // no division by zero
  std::vector<float> frequencies = period_factors(config.theta, dim);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float kept = 1.0f / frequencies[i];
    const float divided = 1.0f / (static_cast<float>(config.factor) * frequencies[i]);
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = static_cast<float>(divided * ramp + kept * (1.0 - ramp));
  }
  return frequencies;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

/// What YaRN multiplies cosines and sines by.
double yarn_attention_factor(const RopeConfig& config) {
  if (config.attention_factor) return *config.attention_factor;
  if (config.mscale != 0.0 && config.mscale_all_dim != 0.0) {
    return yarn_mscale(config.factor, config.mscale) /
           yarn_mscale(config.factor, config.mscale_all_dim);
  }
  return yarn_mscale(config.factor, 1.0);
}

std::vector<float> frequencies_of(const RopeConfig& config, std::int64_t dim) {
  if (config.kind == Kind::kYarn) return yarn_frequencies(config, dim);
  std::vector<float> frequencies = period_factors(config.theta, dim);
  for (float& value : frequencies) {
    value = 1.0f / value;
    if (config.kind == Kind::kLinear) value /= static_cast<float>(config.factor);
    if (config.kind == Kind::kLlama3) value = llama3_frequency(config, value);
    // kDynamic stretches only positions beyond the model's own, which are never asked for.
  }
  return frequencies;
}

Status check_settings(const RopeConfig& config, std::int64_t rotary_dim) {
  if (rotary_dim <= 0 || rotary_dim % 2 != 0) {
    return bad_input("rotary embedding needs heads of even size, not " +
                     std::to_string(rotary_dim));
  }
  const bool scaled = config.kind == Kind::kLlama3 || config.kind == Kind::kYarn;
  if (scaled && config.original_max_positions <= 0) {
    return bad_input("scaled rotary embedding needs original_max_position_embeddings");
  }
  return {};
}

}  // namespace

Result<Rope> Rope::make(const RopeConfig& config, std::int64_t rotary_dim,
                        std::span<const float> divisors) {
  BUNDLE_CHECK(check_settings(config, rotary_dim));
  Rope rope;
  rope.inv_freq_ = frequencies_of(config, rotary_dim);
  rope.interleaved_ = config.interleaved;
  if (config.kind == Kind::kYarn) rope.scale_ = static_cast<float>(yarn_attention_factor(config));
  for (std::size_t i = 0; i < divisors.size() && i < rope.inv_freq_.size(); ++i) {
    rope.inv_freq_[i] /= divisors[i];
  }
  const bool usable = std::all_of(rope.inv_freq_.begin(), rope.inv_freq_.end(),
                                  [](float value) { return std::isfinite(value); });
  if (!usable || !std::isfinite(rope.scale_)) {
    return bad_input("the rotary settings give frequencies that are no finite numbers");
  }
  return rope;
}

double latent_score_factor(const format::RopeConfig& config) {
  if (config.kind != Kind::kYarn || config.mscale_all_dim == 0.0) return 1.0;
  const double mscale = yarn_mscale(config.factor, config.mscale_all_dim);
  return mscale * mscale;
}

Status Rope::place(kernels::Device& device) {
  BUNDLE_TRY(placed_, device.place(inv_freq_));
  return {};
}

}  // namespace bundle::model
