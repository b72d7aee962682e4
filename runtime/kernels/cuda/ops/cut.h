// Floats as sums of two 16-bit numbers, for tensor cores.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

/// Two floats, the first in the lower half of each word: `high` is nearest, `low` what is missing,
/// nearest again.
struct Cut {
  std::uint32_t high;
  std::uint32_t low;
};

BUNDLE_DEVICE Cut cut(float a, float b) {
  const std::uint32_t high = bf16_pair(a, b);
  const float a_high = bf16_float(static_cast<std::uint16_t>(high));
  const float b_high = bits_as<float>(high & 0xFFFF0000u);
  return {high, bf16_pair(a - a_high, b - b_high)};
}

/// The half nearest to a float; the largest there is where that would be infinite.
BUNDLE_DEVICE std::uint16_t finite_half(float value) {
  return float_half(largest(-65504.0f, smallest(65504.0f, value)));
}

/// The same of halves: within 2^-22 of what lies in their range, or 2^-25.
BUNDLE_DEVICE Cut cut_halves(float a, float b) {
  const std::uint16_t a_high = finite_half(a);
  const std::uint16_t b_high = finite_half(b);
  const std::uint16_t a_low = finite_half(a - half_float(a_high));
  const std::uint16_t b_low = finite_half(b - half_float(b_high));
  return {a_high | static_cast<std::uint32_t>(b_high) << 16,
          a_low | static_cast<std::uint32_t>(b_low) << 16};
}

}  // namespace bundle::kernels::cuda
