// Compiled once for every x86-64 and once with AVX2 (BUNDLE_ISA), from vectors that the compiler
// splits where a machine's are shorter. Each operation is done on the same lanes in the same order
// everywhere and none is contracted, so all machines write the same bytes: a bundle's digest must
// not depend on the processor that built it.
//
// Functions that the linker could share between the two are forced inline (flatten).
#include <cstdint>
#include <cstring>

#include "runtime/kernels/half.h"
#include "runtime/quantize/block_encoder.h"

namespace bundle::quantize {
namespace BUNDLE_ISA {
namespace {

constexpr int kLanes = 8;
constexpr int kBlock = 32;
constexpr int kSuper = 256;
constexpr int kGroups = kSuper / kBlock;

using F8 = float __attribute__((vector_size(32)));
using I8 = std::int32_t __attribute__((vector_size(32)));

#define BUNDLE_INLINE inline __attribute__((always_inline))

BUNDLE_INLINE F8 load(const float* p) {
  F8 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
BUNDLE_INLINE F8 all(float value) { return F8{} + value; }
BUNDLE_INLINE F8 largest_of(F8 a, F8 b) { return a > b ? a : b; }
BUNDLE_INLINE F8 smallest_of(F8 a, F8 b) { return a < b ? a : b; }
BUNDLE_INLINE F8 magnitude(F8 v) { return (F8)((I8)v & 0x7FFFFFFF); }

/// To the nearest integer, ties to even; magnitudes under 2^22. Adding 1.5 · 2^23 leaves no bits
/// behind the point.
BUNDLE_INLINE F8 rounded(F8 v) { return (v + 12582912.0f) - 12582912.0f; }
BUNDLE_INLINE float rounded(float v) { return (v + 12582912.0f) - 12582912.0f; }

/// To the nearest integer, ties away from zero, as C's roundf.
BUNDLE_INLINE F8 rounded_away(F8 v) {
  const F8 even = rounded(v);
  const F8 rest = v - even;
  const F8 up = rest == 0.5f && v > 0.0f ? even + 1.0f : even;
  return rest == -0.5f && v < 0.0f ? even - 1.0f : up;
}

BUNDLE_INLINE float lane_sum(F8 v) {
  return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}
BUNDLE_INLINE float lane_largest(F8 v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

BUNDLE_INLINE void put_half(std::byte* out, std::uint16_t half) {
  std::memcpy(out, &half, sizeof half);
}

/// 0 for 0, and for what is too small to have an inverse: a half holds no such scale anyhow.
BUNDLE_INLINE float inverse_of(float d) {
  const float inverse = 1.0f / d;
  return inverse - inverse == 0.0f ? inverse : 0.0f;
}

BUNDLE_INLINE float largest_of_block(const float* x) {
  F8 best = magnitude(load(x));
  for (int i = kLanes; i < kBlock; i += kLanes) best = largest_of(best, magnitude(load(x + i)));
  return lane_largest(best);
}

/// Magnitudes are compared as integers: infinity and NaN are then the largest.
__attribute__((flatten)) float largest(const float* values, std::int64_t n) {
  I8 best = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const I8 bits = (I8)load(values + i) & 0x7FFFFFFF;
    best = bits > best ? bits : best;
  }
  std::int32_t top = 0;
  for (int lane = 0; lane < kLanes; ++lane) top = best[lane] > top ? best[lane] : top;
  for (; i < n; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    top = bits > top ? bits : top;
  }
  float result;
  std::memcpy(&result, &top, sizeof result);
  return result;
}

/// A block: half d, 32 signed bytes. value = d · q.
__attribute__((flatten)) void q8_0(const float* x, std::int64_t n, std::byte* out) {
  for (std::int64_t at = 0; at < n; at += kBlock, x += kBlock, out += 34) {
    const float d = largest_of_block(x) / 127.0f;
    const float inverse = inverse_of(d);
    put_half(out, kernels::float_to_half(d));
    for (int i = 0; i < kBlock; i += kLanes) {
      const F8 q = rounded_away(load(x + i) * inverse);
      for (int lane = 0; lane < kLanes; ++lane) {
        out[2 + i + lane] = static_cast<std::byte>(static_cast<std::int8_t>(q[lane]));
      }
    }
  }
}

/// The element of largest magnitude with its sign, the first of equals.
BUNDLE_INLINE float extreme_of_block(const float* x) {
  const float top = largest_of_block(x);
  for (int i = 0; i < kBlock; ++i) {
    if (x[i] == top || x[i] == -top) return x[i];
  }
  return 0.0f;
}

/// Codes 0 … 2·half − 1 of one block, value = d · (code − half): the extreme element gets code 0.
BUNDLE_INLINE float centred_codes(const float* x, int half, std::uint8_t* codes) {
  const float d = extreme_of_block(x) / -static_cast<float>(half);
  const float inverse = inverse_of(d);
  const float centre = static_cast<float>(half) + 0.5f;
  const float most = static_cast<float>(2 * half - 1);
  for (int i = 0; i < kBlock; i += kLanes) {
    const F8 code = smallest_of(load(x + i) * inverse + centre, all(most));
    for (int lane = 0; lane < kLanes; ++lane) {
      codes[i + lane] = static_cast<std::uint8_t>(code[lane]);  // cuts off, as ggml does
    }
  }
  return d;
}

/// A block: half d, 16 bytes of two codes, elements i and i + 16.
__attribute__((flatten)) void q4_0(const float* x, std::int64_t n, std::byte* out) {
  std::uint8_t codes[kBlock];
  for (std::int64_t at = 0; at < n; at += kBlock, x += kBlock, out += 18) {
    put_half(out, kernels::float_to_half(centred_codes(x, 8, codes)));
    for (int i = 0; i < 16; ++i) out[2 + i] = static_cast<std::byte>(codes[i] | codes[i + 16] << 4);
  }
}

/// A block: half d, the 32 fifth bits, then as Q4_0.
__attribute__((flatten)) void q5_0(const float* x, std::int64_t n, std::byte* out) {
  std::uint8_t codes[kBlock];
  for (std::int64_t at = 0; at < n; at += kBlock, x += kBlock, out += 22) {
    put_half(out, kernels::float_to_half(centred_codes(x, 16, codes)));
    std::uint32_t fifth = 0;
    for (int i = 0; i < kBlock; ++i) fifth |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
    std::memcpy(out + 2, &fifth, sizeof fifth);
    for (int i = 0; i < 16; ++i) {
      out[6 + i] = static_cast<std::byte>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
    }
  }
}

/// One group of Q4_K: value = scale · code − least, codes 0 … 15, both factors at least 0.
struct Fit {
  float scale;
  float least;
};

/// What the search for a group's fit needs of its elements.
struct Group {
  const float* x;
  float weights[kBlock];
  float sum_w;
  float sum_wx;
  float min;  // at most 0
  float max;
};

BUNDLE_INLINE Group measure(const float* x) {
  Group group;
  group.x = x;
  F8 squares = {}, low = {}, high = load(x);
  for (int i = 0; i < kBlock; i += kLanes) {
    const F8 v = load(x + i);
    squares += v * v;
    low = smallest_of(low, v);
    high = largest_of(high, v);
  }
  const float typical = __builtin_sqrtf(lane_sum(squares) / kBlock);
  F8 sum_w = {}, sum_wx = {};
  for (int i = 0; i < kBlock; i += kLanes) {
    const F8 v = load(x + i);
    const F8 w = magnitude(v) + typical;
    std::memcpy(group.weights + i, &w, sizeof w);
    sum_w += w;
    sum_wx += w * v;
  }
  group.sum_w = lane_sum(sum_w);
  group.sum_wx = lane_sum(sum_wx);
  group.min = -lane_largest(-low);
  group.max = lane_largest(high);
  return group;
}

/// Of eight step sizes 1 / inverse: the codes that each gives, then the scale and least of smallest
/// weighted squared error for those codes, in closed form. `error` is that error without the
/// constant Σ w x².
BUNDLE_INLINE void fit_eight(const Group& group, F8 inverse, F8& scale, F8& least, F8& error) {
  F8 sum_l = {}, sum_ll = {}, sum_xl = {};
  for (int i = 0; i < kBlock; ++i) {
    const float w = group.weights[i];
    const F8 code =
        smallest_of(largest_of(rounded(inverse * (group.x[i] - group.min)), F8{}), all(15.0f));
    const F8 weighted = code * w;
    sum_l += weighted;
    sum_ll += weighted * code;
    sum_xl += weighted * group.x[i];
  }
  const F8 determinant = group.sum_w * sum_ll - sum_l * sum_l;
  const F8 s = (group.sum_w * sum_xl - group.sum_wx * sum_l) / determinant;
  const F8 m = (sum_l * sum_xl - sum_ll * group.sum_wx) / determinant;
  // A least under 0 cannot be stored: then the best scale alone.
  const F8 alone = sum_xl / sum_ll;
  scale = m < 0.0f ? alone : s;
  least = m < 0.0f ? F8{} : m;
  error = scale * scale * sum_ll + least * least * group.sum_w - 2.0f * scale * least * sum_l -
          2.0f * scale * sum_xl + 2.0f * least * group.sum_wx;
  // NaN where all codes are equal; and a scale under 0 cannot be stored either.
  error = error == error && scale >= 0.0f ? error : all(3e38f);
}

/// Tries 24 step sizes around the one that spans the range exactly.
BUNDLE_INLINE Fit fit_group(const Group& group) {
  const float range = group.max - group.min;
  if (!(range > 0.0f)) return {0.0f, -group.min};
  Fit best{range / 15.0f, -group.min};
  float best_error = 3e38f;
  const F8 lanes = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int first = 0; first < 24; first += kLanes) {
    F8 scale, least, error;
    const F8 steps = 13.8f + 0.1f * (lanes + static_cast<float>(first));
    fit_eight(group, steps / range, scale, least, error);
    for (int lane = 0; lane < kLanes; ++lane) {
      if (!(error[lane] < best_error)) continue;
      best_error = error[lane];
      best = {scale[lane], least[lane]};
    }
  }
  return best;
}

/// Six bits each: 8 scales and 8 leasts in 12 bytes.
BUNDLE_INLINE void pack_factors(const std::uint8_t* scales, const std::uint8_t* leasts,
                                std::byte* out) {
  std::uint8_t packed[12];
  for (int g = 0; g < 4; ++g) {
    packed[g] = static_cast<std::uint8_t>(scales[g] | (scales[g + 4] >> 4) << 6);
    packed[g + 4] = static_cast<std::uint8_t>(leasts[g] | (leasts[g + 4] >> 4) << 6);
    packed[g + 8] = static_cast<std::uint8_t>((scales[g + 4] & 15) | (leasts[g + 4] & 15) << 4);
  }
  std::memcpy(out, packed, sizeof packed);
}

/// The codes of one group once its factors are rounded.
BUNDLE_INLINE void final_codes(const float* x, float scale, float least, std::uint8_t* codes) {
  const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlock; i += kLanes) {
    const F8 code =
        smallest_of(largest_of(rounded((load(x + i) + least) * inverse), F8{}), all(15.0f));
    for (int lane = 0; lane < kLanes; ++lane)
      codes[i + lane] = static_cast<std::uint8_t>(code[lane]);
  }
}

BUNDLE_INLINE std::uint8_t six_bits(float value, float unit) {
  if (!(unit > 0.0f)) return 0;
  const float code = rounded(value / unit);
  return static_cast<std::uint8_t>(code > 63.0f ? 63.0f : code);
}

/// 256 elements: halfs d and dmin, factors, 128 bytes of two codes, elements i and i + 32 of each
/// 64. value = d · scale · code − dmin · least.
__attribute__((flatten)) void q4_k(const float* x, std::int64_t n, std::byte* out) {
  std::uint8_t codes[kSuper], scales[kGroups], leasts[kGroups];
  for (std::int64_t at = 0; at < n; at += kSuper, x += kSuper, out += 144) {
    Fit fits[kGroups];
    float most_scale = 0.0f, most_least = 0.0f;
    for (int g = 0; g < kGroups; ++g) {
      fits[g] = fit_group(measure(x + g * kBlock));
      most_scale = fits[g].scale > most_scale ? fits[g].scale : most_scale;
      most_least = fits[g].least > most_least ? fits[g].least : most_least;
    }
    const std::uint16_t d = kernels::float_to_half(most_scale / 63.0f);
    const std::uint16_t dmin = kernels::float_to_half(most_least / 63.0f);
    for (int g = 0; g < kGroups; ++g) {
      scales[g] = six_bits(fits[g].scale, most_scale / 63.0f);
      leasts[g] = six_bits(fits[g].least, most_least / 63.0f);
      final_codes(x + g * kBlock, kernels::half_to_float(d) * static_cast<float>(scales[g]),
                  kernels::half_to_float(dmin) * static_cast<float>(leasts[g]), codes + g * kBlock);
    }
    put_half(out, d);
    put_half(out + 2, dmin);
    pack_factors(scales, leasts, out + 4);
    for (int i = 0; i < kSuper / 2; ++i) {
      const int low = i / kBlock * 2 * kBlock + i % kBlock;
      out[16 + i] = static_cast<std::byte>(codes[low] | codes[low + kBlock] << 4);
    }
  }
}

/// Of finite values up to 464 in magnitude. The two ways are those of kernels/half.h.
BUNDLE_INLINE I8 f8_bits(F8 v) {
  const I8 bits = (I8)v;
  const I8 size = bits & 0x7FFFFFFF;
  const I8 small = (I8)((F8)size + 0x1p14f) - 0x46800000;
  const I8 normal = (size - 0x3C000000 + 0x7FFFF + ((size >> 20) & 1)) >> 20;
  const I8 code = size < 0x3C800000 ? small : normal;
  return (code > 0x7E ? I8{} + 0x7E : code) | ((bits >> 24) & 0x80);
}

__attribute__((flatten)) void f8(const float* x, std::int64_t n, float scale, std::byte* out) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const I8 codes = f8_bits(load(x + i) / scale);
    for (int lane = 0; lane < kLanes; ++lane) out[i + lane] = static_cast<std::byte>(codes[lane]);
  }
  for (; i < n; ++i) out[i] = static_cast<std::byte>(f8_bits(all(x[i] / scale))[0]);
}

}  // namespace
}  // namespace BUNDLE_ISA

extern const BlockEncoder BUNDLE_ENCODER;
const BlockEncoder BUNDLE_ENCODER = {BUNDLE_ENCODER_NAME, BUNDLE_ISA::largest, BUNDLE_ISA::q8_0,
                                     BUNDLE_ISA::q4_0,    BUNDLE_ISA::q5_0,    BUNDLE_ISA::q4_k,
                                     BUNDLE_ISA::f8};

}  // namespace bundle::quantize
