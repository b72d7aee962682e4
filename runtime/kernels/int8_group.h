// Vectors of the key/value cache in signed bytes. Groups of kKvScaleGroup elements (the last may be
// shorter) share a scale: the smallest bfloat16 d that is at least max|x| / 127. An element is
// stored as round(x / d), to nearest even, and read as that times d. Larger values than
// kInt8Most count as that, infinities too, and NaN as 0, so that nothing stored spoils other rows'
// sums.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/kv_type.h"
#include "runtime/kernels/half.h"

namespace bundle::kernels {

inline constexpr float kInt8Levels = 127.0f;
/// Groups of smaller values are stored as zeros: the inverse of their scale has to be finite.
inline constexpr float kInt8Least = 1e-34f;
/// 127 times the scale of a group with such a value is still finite.
inline constexpr float kInt8Most = 3e38f;

/// The scale of a group whose largest magnitude is `largest`, as a bfloat16's bits.
inline std::uint16_t int8_scale(float largest) {
  if (!(largest >= kInt8Least)) return 0;
  const float d = std::min(largest, kInt8Most) / kInt8Levels;
  return static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(d) + 0xFFFFu) >> 16);
}

/// Writes n elements, and their groups' scales `scale_stride` scales apart.
inline void store_int8(const float* values, std::int64_t n, std::byte* codes, std::byte* scales,
                       std::int64_t scale_stride) {
  for (std::int64_t first = 0; first < n; first += kKvScaleGroup) {
    const std::int64_t end = std::min(n, first + kKvScaleGroup);
    float largest = 0.0f;
    for (std::int64_t i = first; i < end; ++i) largest = std::fmax(largest, std::abs(values[i]));
    const std::uint16_t scale = int8_scale(largest);
    std::memcpy(scales + first / kKvScaleGroup * scale_stride * 2, &scale, sizeof scale);
    const float inverse = scale == 0 ? 0.0f : 1.0f / bf16_to_float(scale);
    for (std::int64_t i = first; i < end; ++i) {
      const float level = std::clamp(values[i] * inverse, -kInt8Levels, kInt8Levels);
      codes[i] = std::isnan(level)
                     ? std::byte{0}
                     : static_cast<std::byte>(static_cast<int>(std::nearbyint(level)));
    }
  }
}

/// Reads what store_int8 wrote.
inline void load_int8(const std::byte* codes, const std::byte* scales, std::int64_t scale_stride,
                      std::int64_t n, float* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t scale;
    std::memcpy(&scale, scales + i / kKvScaleGroup * scale_stride * 2, sizeof scale);
    out[i] = static_cast<float>(static_cast<std::int8_t>(codes[i])) * bf16_to_float(scale);
  }
}

}  // namespace bundle::kernels
