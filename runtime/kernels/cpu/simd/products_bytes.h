// Products of bytes, for sets with an instruction that multiplies and adds four of them a lane: an
// activation lies in two bytes, whose sums are joined by a shift. Included by products.h alone.
#pragma once

namespace bundle::kernels::cpu::BUNDLE_ISA {

/// Writes kLanes columns of token `index` of a tile, from column k · kLanes of the record on:
/// q = 2^kLowBits · high + low.
BUNDLE_INLINE void store_activations(std::byte* record, std::int64_t tile, std::int64_t index,
                                     int k, I32 q) {
  const I32 half_low = set_int(1 << (kLowBits - 1));
  const I32 high = shift_right_signed<kLowBits>(add_int(q, half_low));
  store_i8(record + 32 * index + k * kLanes, high);
  store_i8(record + 32 * (tile + index) + k * kLanes, sub_int(q, shift_left<kLowBits>(high)));
}

/// The quads of 32 columns stay in registers, token after token.
template <typename Kernel>
struct ColumnProducts {
  static constexpr int kGroups = Kernel::kGroups;

  BUNDLE_INLINE void load_codes(const std::byte* unit, I32 (&quads)[8]) {
    const std::byte* high = unit + 64 * Kernel::kLow;
    quads[0] = Kernel::template code<0>(unit, high);
    quads[1] = Kernel::template code<1>(unit, high);
    quads[2] = Kernel::template code<2>(unit, high);
    quads[3] = Kernel::template code<3>(unit, high);
    quads[4] = Kernel::template code<4>(unit, high);
    quads[5] = Kernel::template code<5>(unit, high);
    quads[6] = Kernel::template code<6>(unit, high);
    quads[7] = Kernel::template code<7>(unit, high);
  }

  /// The integer sum of one group and one token, whose high bytes lie at `high`, low ones at `low`.
  BUNDLE_INLINE I32 group_sum(const I32 (&quads)[8], int group, const std::int32_t* high,
                              const std::int32_t* low, const std::int32_t* nsum) {
    I32 total = zero_int();
    I32 upper = zero_int();
    constexpr int kOffsetBits = Kernel::offset_bits();
    if constexpr (kOffsetBits >= 0) total = shift_left<kOffsetBits>(set_int(*nsum));
    BUNDLE_UNROLL
    for (int i = 0; i < Kernel::kQuadsPerGroup; ++i) {
      const int quad = group * Kernel::kQuadsPerGroup + i;
      dot_bytes(upper, quads[quad], high + quad);
      dot_bytes(total, quads[quad], low + quad);
    }
    return add_int(shift_left<kLowBits>(upper), total);
  }

  /// Adds the columns whose codes lie at `unit` to T tokens' sums.
  template <int T>
  BUNDLE_INLINE void add(const std::byte* unit, const ColumnScales<kGroups>& scales,
                         const ColumnActivations& x, F32 (&sums)[T]) {
    I32 quads[8];
    load_codes(unit, quads);
    const std::int32_t* low = x.q + 8 * T;
    BUNDLE_UNROLL
    for (int t = 0; t < T; ++t) {
      const I32 total0 = group_sum(quads, 0, x.q + 8 * t, low + 8 * t, x.nsum + t);
      if constexpr (kGroups == 1) {
        sums[t] = fma(to_float(total0), mul(scales.scale[0], set(x.dx[t])), sums[t]);
      } else {
        const I32 total1 = group_sum(quads, 1, x.q + 8 * t, low + 8 * t, x.nsum + T + t);
        const F32 scaled =
            fma(to_float(total1), scales.scale[1], mul(to_float(total0), scales.scale[0]));
        sums[t] = fma(scaled, set(x.dx[t]), sums[t]);
      }
    }
  }
};

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
