// How activations lie in memory for the matrix kernels: converted once a product, by all threads,
// then read by every block of weight rows.
//
// Tokens are cut into tiles of 8 (then 4, 2 and 1 for the rest; at most kMaxTile of the
// instruction set), and the columns of a tile's tokens are interleaved in records:
//
//   kInt15 32 columns: q; float d[T]; int32 nsum[T]; float fsum[T];
//          and with `sums16` also int32 nsum16[2][T]; float fsum16[2][T]
//          x ≈ d·q with d = max|x| / 16256; nsum = −Σq; fsum = d·Σq. q takes 64 bytes a token:
//          int8 high[T][32]; int8 low[T][32] with q = 128·high + low where products are of bytes,
//          int16 q[T][32], columns 0, 2, 1, 3 of each four, where they are of words.
//          One signed byte a value, as is common, moves a small model's logits by more than one;
//          two, each below 128 in size, cost a second integer product and lose next to nothing.
//   kBf16   2 columns: bfloat16 pair[T][2]
//   kF32    1 column:  float x[T]
//   kLifted 1 column:  float x[T] · kActivationLift, for 8-bit float weights
#pragma once

#include <cstddef>
#include <cstdint>

// Never a function of its own: one compiled with AVX-512 could replace the plain one at link time.
#define BUNDLE_SHARED_INLINE [[gnu::always_inline]]

namespace bundle::kernels::cpu {

enum class ActivationKind { kInt15, kBf16, kF32, kLifted };
inline constexpr int kActivationKinds = 4;

/// A power of two: nothing is rounded. Values up to 2^63 stay finite.
inline constexpr float kActivationLift = 0x1p64f;

/// q = 2^kLowBits · high + low, |high| ≤ 127.
inline constexpr int kLowBits = 7;

struct ActivationLayout {
  ActivationKind kind = ActivationKind::kF32;
  std::int64_t cols = 0;
  bool sums16 = false;

  /// Bytes that one token adds to a record of kInt15.
  BUNDLE_SHARED_INLINE constexpr std::int64_t record_bytes() const { return sums16 ? 92 : 76; }
  BUNDLE_SHARED_INLINE constexpr std::int64_t token_bytes() const {
    if (kind == ActivationKind::kInt15) return cols / 32 * record_bytes();
    if (kind == ActivationKind::kBf16) return (cols + 1) / 2 * 4;
    return cols * 4;
  }
};

/// Tokens of the next tile when so many are left.
BUNDLE_SHARED_INLINE constexpr std::int64_t tile_tokens(std::int64_t left, std::int64_t max_tile) {
  std::int64_t tile = max_tile;
  while (tile > left) tile /= 2;
  return tile;
}

}  // namespace bundle::kernels::cpu
