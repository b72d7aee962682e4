// Products of 16-bit words, for sets that have none of bytes with a sum of four: codes and
// activations are words, two columns a lane, and no sum of two ever leaves 32 bits. That takes half
// the multiplications of products of two bytes. Included by products.h alone.
#pragma once

namespace bundle::kernels::cpu::BUNDLE_ISA {

/// Writes kLanes columns of token `index` of a tile, from column k · kLanes of the record on: of
/// each four, words 0 and 2 before 1 and 3, as even_words and odd_words give the codes.
BUNDLE_INLINE void store_activations(std::byte* record, std::int64_t /*tile*/, std::int64_t index,
                                     int k, I32 q) {
  store_even_odd_words(record + 64 * index + 2 * kLanes * k, q);
}

/// Too few registers hold the quads of 32 columns: each is unpacked where it is used, for all
/// tokens at once.
template <typename Kernel>
struct ColumnProducts {
  static constexpr int kGroups = Kernel::kGroups;

  template <int T, int i>
  BUNDLE_INLINE void add_quad(const std::byte* unit, const std::int32_t* x, I32 (&totals)[T]) {
    const I32 bytes = Kernel::template code<i>(unit, unit + 64 * Kernel::kLow);
    const I32 even = Kernel::kFullBytes ? even_signed_words(bytes) : even_words(bytes);
    const I32 odd = Kernel::kFullBytes ? odd_signed_words(bytes) : odd_words(bytes);
    BUNDLE_UNROLL
    for (int t = 0; t < T; ++t) {
      dot_words(totals[t], even, x + 16 * t + 2 * i);
      dot_words(totals[t], odd, x + 16 * t + 2 * i + 1);
    }
  }

  /// Adds group g of the columns to T tokens' sums.
  template <int T, int g>
  BUNDLE_INLINE void add_group(const std::byte* unit, F32 scale, const ColumnActivations& x,
                               F32 (&sums)[T]) {
    constexpr int kOffsetBits = Kernel::offset_bits();
    constexpr int kFirst = g * Kernel::kQuadsPerGroup;
    I32 totals[T];
    BUNDLE_UNROLL
    for (int t = 0; t < T; ++t) {
      totals[t] = zero_int();
      if constexpr (kOffsetBits >= 0)
        totals[t] = shift_left<kOffsetBits>(set_int(x.nsum[g * T + t]));
    }
    add_quad<T, kFirst>(unit, x.q, totals);
    add_quad<T, kFirst + 1>(unit, x.q, totals);
    add_quad<T, kFirst + 2>(unit, x.q, totals);
    add_quad<T, kFirst + 3>(unit, x.q, totals);
    if constexpr (Kernel::kQuadsPerGroup == 8) {
      add_quad<T, kFirst + 4>(unit, x.q, totals);
      add_quad<T, kFirst + 5>(unit, x.q, totals);
      add_quad<T, kFirst + 6>(unit, x.q, totals);
      add_quad<T, kFirst + 7>(unit, x.q, totals);
    }
    BUNDLE_UNROLL
    for (int t = 0; t < T; ++t)
      sums[t] = fma(to_float(totals[t]), mul(scale, set(x.dx[t])), sums[t]);
  }

  /// Adds the columns whose codes lie at `unit` to T tokens' sums.
  template <int T>
  BUNDLE_INLINE void add(const std::byte* unit, const ColumnScales<kGroups>& scales,
                         const ColumnActivations& x, F32 (&sums)[T]) {
    add_group<T, 0>(unit, scales.scale[0], x, sums);
    if constexpr (kGroups == 2) add_group<T, 1>(unit, scales.scale[1], x, sums);
  }
};

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
