// Rotary embedding frequencies, as transformers' modeling_rope_utils computes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/format/model_config.h"
#include "runtime/kernels/device.h"

namespace bundle::model {

/// Frequencies of one model; table() views them.
class Rope {
 public:
  /// `rotary_dim` is how many elements of a head turn (even). `divisors` has rotary_dim / 2 numbers
  /// that the frequencies are divided by (GGUF's rope_freqs.weight), or none.
  /// kBadInput when the settings give no usable frequencies.
  static Result<Rope> make(const format::RopeConfig& config, std::int64_t rotary_dim,
                           std::span<const float> divisors = {});

  /// Copies the frequencies to a device; table() is for that one from then on.
  Status place(kernels::Device& device);

  kernels::RopeTable table() const {
    return {placed_.empty() ? inv_freq_.data() : placed_.data(),
            static_cast<std::int64_t>(2 * inv_freq_.size()), scale_, interleaved_};
  }

 private:
  std::vector<float> inv_freq_;  // radians a position
  kernels::DeviceVector placed_;
  float scale_ = 1.0f;  // YaRN's attention factor
  bool interleaved_ = false;
};

/// What DeepSeek's YaRN multiplies the attention's scores by, beside 1/sqrt(head size): the square
/// of mscale_all_dim's factor (modeling_deepseek.py, DeepseekV3Attention). 1 without YaRN.
double latent_score_factor(const format::RopeConfig& config);

}  // namespace bundle::model
