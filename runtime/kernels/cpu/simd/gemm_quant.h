// The matrix kernel of every block-quantized type. With quant_block.h's formula a group of columns
// adds to an output
//
//   (d · scale) · dx · (Σ code·q − offset·Σq)  −  (dmin · min) · dx·Σq
//
// where x ≈ dx·q. The sum in the bracket is taken in integers, exactly, and starts at −offset·Σq,
// which the activations carry. It stays below 2²⁸. So a type needs nothing but the unpacking of its
// codes; how codes and q are multiplied is the instruction set's (products_bytes.h,
// products_words.h).
#pragma once

#include "runtime/kernels/cpu/simd/gemm.h"
#include "runtime/kernels/cpu/simd/products.h"
#include "runtime/kernels/quant_block.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

/// IQ4's levels as codes with an offset of 128, and plain.
inline constexpr std::uint8_t kIq4Codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                               129, 141, 153, 166, 181, 197, 217, 241};
inline constexpr std::uint8_t kIq4Signed[16] = {129, 152, 173, 191, 207, 221, 234, 246,
                                                1,   13,  25,  38,  53,  69,  89,  113};

/// Tiles of up to so many tokens prefetch weights, so far ahead.
inline constexpr int kStreamingTokens = 4;
inline constexpr std::int64_t kPrefetchBytes = 4096;

template <DType type>
struct QuantKernel {
  static constexpr QuantTraits kTraits = quant_traits(type);
  static constexpr bool kTable = kTraits.offset < 0;
  static constexpr bool kFullBytes = kTable || kTraits.code_bits == 8;
  static constexpr int kLow = kTraits.code_bits == 8 ? 8 : kTraits.code_bits < 4 ? 2 : 4;
  static constexpr int kHigh = kTraits.code_bits - kLow;
  static constexpr int kGroups = 32 / kTraits.group;     // in 32 columns
  static constexpr int kSuper = kTraits.scales ? 8 : 1;  // times 32 columns that share d
  static constexpr int kQuadsPerGroup = 8 / kGroups;

  /// log2 of the codes' offset, −1 when there is none to correct.
  static constexpr int offset_bits() {
    if (kFullBytes) return kSignedBytes ? -1 : 7;
    for (int bits = 0; bits < 7; ++bits)
      if (kTraits.offset == 1 << bits) return bits;
    return -1;
  }

  BUNDLE_INLINE I32 bytes_of(std::uint8_t value) {
    return set_int(static_cast<std::int32_t>(value * 0x01010101u));
  }

  /// Quad i of a plane of 2-bit codes, in the low bits.
  template <int i>
  BUNDLE_INLINE I32 pair(const std::byte* plane) {
    const I32 word = load_bytes(plane + (i / 4) * 64);
    return and_int(shift_right<2 * (i % 4)>(word), bytes_of(0x03));
  }

  template <int i>
  BUNDLE_INLINE I32 low_code(const std::byte* plane) {
    if constexpr (kLow == 8) {
      const I32 codes = load_bytes(plane + i * 64);
      return kSignedBytes ? xor_int(codes, bytes_of(0x80)) : codes;
    } else if constexpr (kLow == 4) {
      const I32 word = load_bytes(plane + (i % 4) * 64);
      return and_int(shift_right<4 * (i / 4)>(word), bytes_of(0x0F));
    } else {
      return pair<i>(plane);
    }
  }

  /// `low` with the code's further bits above it.
  template <int i>
  BUNDLE_INLINE I32 with_high(I32 low, const std::byte* plane) {
    if constexpr (kHigh == 1) {
      const I32 word = load_bytes(plane);
      const I32 bits =
          i < kLow ? shift_left<(kLow - i) & 31>(word) : shift_right<(i - kLow) & 31>(word);
      return and_or(bits, bytes_of(1u << kLow), low);
    } else if constexpr (kHigh == 2) {
      constexpr int at = 2 * (i % 4);
      const I32 word = load_bytes(plane + (i / 4) * 64);
      const I32 bits =
          at < kLow ? shift_left<(kLow - at) & 31>(word) : shift_right<(at - kLow) & 31>(word);
      return and_or(bits, bytes_of(3u << kLow), low);
    } else {
      return low;
    }
  }

  template <int i>
  BUNDLE_INLINE I32 code(const std::byte* codes, const std::byte* high) {
    const I32 value = with_high<i>(low_code<i>(codes), high);
    if constexpr (kTable) return look_up(kSignedBytes ? kIq4Signed : kIq4Codes, value);
    return value;
  }

  // Byte offsets in a record, as packed_layout computes them.
  static constexpr int kBlock = 32 * kSuper;
  static constexpr int kDmin = 2 * kPackRows;
  static constexpr int kScales = kTraits.has_min ? 2 * kDmin : kDmin;
  static constexpr int kGroupBytes = kTraits.scales ? kBlock / kTraits.group * kPackRows : 0;
  static constexpr int kMins = kScales + kGroupBytes;
  static constexpr bool kMinPlane = kTraits.has_min && !kTraits.nibble_scales;
  static constexpr int kUnits = kMins + (kMinPlane ? kGroupBytes : 0);
  static constexpr int kUnitBytes = 64 * kTraits.code_bits;
  static constexpr int kRecordBytes = kUnits + kSuper * kUnitBytes;

  /// With few tokens the weights stream from memory, and the work on one group fills the window in
  /// which the processor looks ahead: it has to be told what comes.
  BUNDLE_INLINE void prefetch(const std::byte* unit) {
    BUNDLE_UNROLL
    for (int i = 0; i < kTraits.code_bits; ++i) prefetch_line(unit + kPrefetchBytes + 64 * i);
  }

  struct GroupScale {
    F32 scale;
    F32 min;
  };

  /// Scale and minimum of group g; what the type lacks is 0. `record` points at the lane.
  BUNDLE_INLINE GroupScale group_scale(const std::byte* record, int g) {
    if constexpr (kTraits.nibble_scales) {
      const I32 both = load_u8_words(record + kScales + g * kPackRows);
      return {to_float(and_int(both, set_int(0x0F))), to_float(shift_right<4>(both))};
    } else if constexpr (kTraits.scales) {
      const F32 scale = to_float(load_i8_words(record + kScales + g * kPackRows));
      if constexpr (!kTraits.has_min) return {scale, zero()};
      return {scale, to_float(load_u8_words(record + kMins + g * kPackRows))};
    } else {
      return {zero(), zero()};
    }
  }

  /// Scale and minimum of the groups of the i-th 32 columns, the block's factors in them.
  BUNDLE_INLINE ColumnScales<kGroups> column_scales(const std::byte* record, int i, F32 d,
                                                    F32 dmin) {
    ColumnScales<kGroups> scales;
    BUNDLE_UNROLL
    for (int g = 0; g < kGroups; ++g) {
      const GroupScale group = group_scale(record, i * kGroups + g);
      scales.scale[g] = kTraits.scales ? mul(d, group.scale) : d;
      scales.min[g] = kTraits.scales && kTraits.has_min ? mul(dmin, group.min) : dmin;
    }
    return scales;
  }

  /// Adds the i-th 32 columns of a record of weights.
  template <int T>
  BUNDLE_INLINE void add_columns(const std::byte* record, int lane, int i, F32 d, F32 dmin,
                                 const std::byte* activations, F32 (&sums)[T]) {
    const std::byte* unit = record + kUnits + i * kUnitBytes + lane * 4;
    const ColumnScales<kGroups> scales = column_scales(record + lane, i, d, dmin);
    const auto x = ColumnActivations::at(activations, T, kGroups == 2);
    ColumnProducts<QuantKernel>::template add<T>(unit, scales, x, sums);
    if constexpr (kTraits.has_min) {
      BUNDLE_UNROLL
      for (int t = 0; t < T; ++t) BUNDLE_UNROLL
      for (int g = 0; g < kGroups; ++g)
        sums[t] = fnma(scales.min[g], set(x.fsum[g * T + t]), sums[t]);
    }
  }

  /// One or two tokens take all sixteen rows at once: a cache line is read in one go.
  static constexpr int vectors(int tokens) { return tokens <= 2 ? kPackRows / kLanes : 1; }

  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const std::int64_t activation_bytes = T * args.activation_layout.record_bytes();
    const std::byte* record = block;
    for (std::int64_t c = 0; c < args.layout->cols; c += kBlock, record += kRecordBytes) {
      F32 d[V];
      F32 dmin[V];
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) {
        d[v] = load_half(record + (lane + v * kLanes) * 2);
        dmin[v] = kTraits.has_min ? load_half(record + kDmin + (lane + v * kLanes) * 2) : zero();
      }
      for (int i = 0; i < kSuper; ++i, activations += activation_bytes) {
        if constexpr (T <= kStreamingTokens) prefetch(record + kUnits + i * kUnitBytes);
        BUNDLE_UNROLL
        for (int v = 0; v < V; ++v)
          add_columns<T>(record, lane + v * kLanes, i, d[v], dmin[v], activations, sums[v]);
      }
    }
  }
};

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
