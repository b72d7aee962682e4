// Floats to e4m3, the 8-bit float of weights and caches; f8_pair() goes back.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

/// Nearest, ties to even, at most 448.
BUNDLE_DEVICE std::uint8_t float_f8(float value) {
  const auto bits = bits_as<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude >= 0x43E00000u) return static_cast<std::uint8_t>(sign | 0x7Eu);
  if (magnitude < 0x3C800000u) {
    // Below 2^-6: adding 2^14 leaves the multiple of 2^-9, rounded, in the last bits.
    const auto shifted = bits_as<std::uint32_t>(bits_as<float>(magnitude) + 16384.0f);
    return static_cast<std::uint8_t>(sign | (shifted - 0x46800000u));
  }
  const std::uint32_t odd = (magnitude >> 20) & 1u;
  return static_cast<std::uint8_t>(sign | (((magnitude + 0x7FFFFu + odd) >> 20) - (120u << 3)));
}

}  // namespace bundle::kernels::cuda
