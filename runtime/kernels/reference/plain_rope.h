// Rotary embedding of the reference device.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::kernels::reference {

/// Cosines and sines of one position, the attention factor included.
struct Rotation {
  std::vector<float> cos, sin;

  Rotation(const RopeTable& rope, std::int64_t position) {
    for (std::int64_t i = 0; i < rope.rotary_dim / 2; ++i) {
      // The angle is rounded to float, as transformers rounds it.
      const float angle = static_cast<float>(position) * rope.inv_freq[i];
      cos.push_back(std::cos(angle) * rope.scale);
      sin.push_back(std::sin(angle) * rope.scale);
    }
  }
};

/// Turns the first rotary_dim elements of a head in place.
inline void rotate(const RopeTable& rope, const Rotation& rotation, float* head) {
  const std::int64_t half = rope.rotary_dim / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    float& a = head[rope.interleaved ? 2 * i : i];
    float& b = head[rope.interleaved ? 2 * i + 1 : i + half];
    const float turned = a * rotation.cos[i] - b * rotation.sin[i];
    b = b * rotation.cos[i] + a * rotation.sin[i];
    a = turned;
  }
}

}  // namespace bundle::kernels::reference
