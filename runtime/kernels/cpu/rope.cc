#include "runtime/kernels/cpu/rope.h"

#include <algorithm>
#include <cmath>

namespace bundle::kernels::cpu {

void RopeAngles::update(const RopeTable& table, std::span<const std::int64_t> positions) {
  const std::span<const float> inv_freq(table.inv_freq,
                                        static_cast<std::size_t>(table.rotary_dim / 2));
  // Compared by value: another model's table may lie where a freed one lay.
  if (table.scale == scale_ && std::ranges::equal(inv_freq, inv_freq_) &&
      std::ranges::equal(positions, positions_))
    return;
  inv_freq_.assign(inv_freq.begin(), inv_freq.end());
  positions_.assign(positions.begin(), positions.end());
  scale_ = table.scale;
  half_ = static_cast<std::int64_t>(inv_freq.size());
  values_.resize(2 * positions.size() * inv_freq.size());
  float* out = values_.data();
  for (const std::int64_t position : positions) {
    for (std::int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(position) * inv_freq_[static_cast<std::size_t>(i)];
      out[i] = std::cos(angle) * scale_;
      out[half_ + i] = std::sin(angle) * scale_;
    }
    out += 2 * half_;
  }
}

}  // namespace bundle::kernels::cpu
