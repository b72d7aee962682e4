// Floats as sums of two bfloat16 numbers, for tensor cores.
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

}  // namespace bundle::kernels::cuda
