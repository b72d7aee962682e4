// Cosines and sines of a step's positions, computed once for all layers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

/// Not thread-safe while updating.
class RopeAngles {
 public:
  /// Makes the angles of `positions` ready; free when they and the table are those of last time.
  void update(const RopeTable& table, std::span<const std::int64_t> positions);

  /// rotary_dim / 2 values for the index-th position.
  const float* cos(std::int64_t index) const { return values_.data() + 2 * index * half_; }
  const float* sin(std::int64_t index) const { return cos(index) + half_; }

 private:
  std::vector<float> inv_freq_;
  std::vector<std::int64_t> positions_;
  float scale_ = 0.0f;
  std::int64_t half_ = 0;
  std::vector<float> values_;  // (positions, 2, half)
};

}  // namespace bundle::kernels::cpu
