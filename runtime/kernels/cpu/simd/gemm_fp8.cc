// 8-bit float weights (e4m3) in blocks of 128 columns that share a scale, with float32 activations.
// A block's products are summed unscaled, and its scale is multiplied in once.
#include "runtime/kernels/cpu/simd/gemm.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

constexpr std::int64_t kBlockColumns = 128;
constexpr std::int64_t kScaleBytes = 4 * kPackRows;  // at the start of a record
constexpr std::int64_t kQuadBytes = 4 * kPackRows;
/// Tiles of up to so many tokens stream weights from memory.
constexpr int kStreamingTokens = 4;
constexpr std::int64_t kPrefetchBytes = 4096;

/// Byte `i` of each lane. The codes of NaN, which no published weight is, come out as 480.
template <int i>
BUNDLE_INLINE F32 widen(I32 codes) {
  return widen_f8(shift_left<24 - 8 * i>(codes));
}

template <int T>
BUNDLE_INLINE void add_column(F32 weights, const float* x, F32 (&sums)[T]) {
  BUNDLE_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = fma(weights, set(x[t]), sums[t]);
}

struct Fp8Kernel {
  /// Few tokens take all sixteen rows at once, for more sums that do not wait for each other.
  static constexpr int vectors(int tokens) { return tokens <= 4 ? kPackRows / kLanes : 1; }

  /// Four columns, or the `count` of the last ones.
  template <int T>
  BUNDLE_INLINE void add_quad(I32 quad, const float* x, F32 (&sums)[T]) {
    add_column<T>(widen<0>(quad), x, sums);
    add_column<T>(widen<1>(quad), x + T, sums);
    add_column<T>(widen<2>(quad), x + 2 * T, sums);
    add_column<T>(widen<3>(quad), x + 3 * T, sums);
  }
  template <int T>
  BUNDLE_INLINE void add_rest(I32 codes, std::int64_t count, const float* x, F32 (&sums)[T]) {
    if (count > 0) add_column<T>(widen<0>(codes), x, sums);
    if (count > 1) add_column<T>(widen<1>(codes), x + T, sums);
    if (count > 2) add_column<T>(widen<2>(codes), x + 2 * T, sums);
  }

  /// The products of one block's columns, unscaled; x moves on behind them.
  template <int T, int V>
  BUNDLE_INLINE void sum_block(const std::byte* codes, std::int64_t count, const float*& x,
                               F32 (&partial)[V][T]) {
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4, codes += kQuadBytes, x += 4 * T) {
      if constexpr (T <= kStreamingTokens) prefetch_line(codes + kPrefetchBytes);
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) add_quad<T>(load_bytes(codes + 4 * v * kLanes), x, partial[v]);
    }
    if (i == count) return;
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v)
      add_rest<T>(load_bytes(codes + 4 * v * kLanes), count - i, x, partial[v]);
  }

  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const auto* x = reinterpret_cast<const float*>(activations);
    for (std::int64_t c = 0; c < args.layout->cols; c += kBlockColumns) {
      F32 partial[V][T];
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) BUNDLE_UNROLL
      for (int t = 0; t < T; ++t) partial[v][t] = zero();
      sum_block<T, V>(block + kScaleBytes + lane * 4, min_of(kBlockColumns, args.layout->cols - c),
                      x, partial);
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) {
        const F32 scale = load(reinterpret_cast<const float*>(block) + lane + v * kLanes);
        BUNDLE_UNROLL
        for (int t = 0; t < T; ++t) sums[v][t] = fma(partial[v][t], scale, sums[v][t]);
      }
      block += args.layout->record_bytes;
    }
  }
};

}  // namespace

void add_fp8_gemm(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kF8E4M3)] = gemm<Fp8Kernel>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
