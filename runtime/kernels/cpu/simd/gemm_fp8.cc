// 8-bit float weights (e4m3) in blocks of 128 columns that share a scale, with float32 activations.
//
// Weights enter the products as floats times kF8Scale, which takes a shift and a mask, and
// activations lie there 2^64 too large: the rest is made good with a block's scale. Powers of two
// round nothing. With AVX2 the scale is 2^-120, which keeps e4m3's subnormals subnormal; to
// multiply each weight by 2^120 instead would take a product more, and on processors where
// subnormal operands are slow in products but not in fused sums (Zen 3), most of the time. With
// AVX-512 it is 2^-8, and nothing is subnormal; codes without an exponent, of which real weights
// have one in thousands, take a way of their own.
//
// A sum that takes each column in turn waits for itself: a product is ready four cycles after the
// one before. So a block has four sums, each of every fourth column, which are added in order at
// its end and scaled once. However many of them a tile of tokens has registers for at a time (the
// others follow in further walks over the block, which lies in the nearest cache by then), they are
// the same four: a token's result does not depend on the tokens beside it.
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
/// Registers for sums: half of all.
constexpr int kSums = kLanes == 16 ? 16 : 8;
/// Tokens of a tile that are summed at a time.
constexpr int kTokens = kSums / (kPackRows / kLanes);

/// Sums of a block's fourths that fit the registers for so many vectors of rows and tokens.
constexpr int fourths(int vectors, int tokens) {
  return vectors * tokens * 4 <= kSums ? 4 : kSums / (vectors * tokens);
}

/// What sums of products with scaled_f8 and lifted activations lack.
constexpr float kLacking = 1 / kF8Scale / kActivationLift;

/// Byte `i` of each lane times kF8Scale. NaN, which is refused when weights are packed, would come
/// out as 480.
template <int i, bool tiny>
BUNDLE_INLINE F32 widen(I32 codes) {
  return scaled_f8<tiny>(shift_left<24 - 8 * i>(codes));
}

struct Fp8Kernel {
  static constexpr int vectors(int /*tokens*/) { return kPackRows / kLanes; }

  template <int V, int H>
  using Sums = F32[V][H];

  /// Column `i` of a quad, for H of T tokens.
  template <int T, int V, int H, int i, bool tiny>
  BUNDLE_INLINE void add_column(const I32 (&quad)[V], const float* x, Sums<V, H>& sums) {
    F32 weights[V];
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) weights[v] = widen<i, tiny>(quad[v]);
    BUNDLE_UNROLL
    for (int h = 0; h < H; ++h) {
      const F32 token = set(x[i * T + h]);
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) sums[v][h] = fma(weights[v], token, sums[v][h]);
    }
  }

  /// Columns first … first + N − 1 of a quad of which `columns` are there.
  template <int T, int V, int H, int first, int N, bool tiny>
  BUNDLE_INLINE void add_columns(const I32 (&quad)[V], std::int64_t columns, const float* x,
                                 Sums<V, H> (&sums)[N]) {
    if (columns > first) add_column<T, V, H, first, tiny>(quad, x, sums[0]);
    if constexpr (N >= 2)
      if (columns > first + 1) add_column<T, V, H, first + 1, tiny>(quad, x, sums[1]);
    if constexpr (N >= 4) {
      if (columns > 2) add_column<T, V, H, 2, tiny>(quad, x, sums[2]);
      if (columns > 3) add_column<T, V, H, 3, tiny>(quad, x, sums[3]);
    }
  }

  template <int T, int V, int H, int first, int N>
  BUNDLE_INLINE void add_quad(const std::byte* codes, std::int64_t columns, const float* x,
                              Sums<V, H> (&sums)[N]) {
    I32 quad[V];
    bool tiny = false;
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      quad[v] = load_bytes(codes + 4 * v * kLanes);
      tiny |= any_tiny_f8(quad[v]);
    }
    if (tiny) [[unlikely]] {
      add_columns<T, V, H, first, N, true>(quad, columns, x, sums);
    } else {
      add_columns<T, V, H, first, N, false>(quad, columns, x, sums);
    }
  }

  /// Adds the fourths from `first` on of a block's `count` columns to its totals, for the H tokens
  /// whose values start at x.
  template <int T, int V, int H, int first>
  BUNDLE_INLINE void add_fourths(const std::byte* codes, std::int64_t count, const float* x,
                                 Sums<V, H>& totals) {
    constexpr int N = fourths(V, H);
    Sums<V, H> sums[N];
    BUNDLE_UNROLL
    for (int k = 0; k < N; ++k) BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) BUNDLE_UNROLL
    for (int h = 0; h < H; ++h) sums[k][v][h] = zero();
    const std::byte* quad = codes;
    const float* values = x;
    std::int64_t left = count;
    for (; left >= 4; left -= 4, quad += kQuadBytes, values += 4 * T) {
      if constexpr (T <= kStreamingTokens && first == 0) prefetch_line(quad + kPrefetchBytes);
      add_quad<T, V, H, first, N>(quad, 4, values, sums);
    }
    if (left > 0) add_quad<T, V, H, first, N>(quad, left, values, sums);
    BUNDLE_UNROLL
    for (int k = 0; k < N; ++k) BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) BUNDLE_UNROLL
    for (int h = 0; h < H; ++h) totals[v][h] = add(totals[v][h], sums[k][v][h]);
    if constexpr (first + N < 4) add_fourths<T, V, H, first + N>(codes, count, x, totals);
  }

  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    constexpr int H = T < kTokens ? T : kTokens;
    const auto* x = reinterpret_cast<const float*>(activations);
    const F32 lacking = set(kLacking);
    for (std::int64_t c = 0; c < args.layout->cols; c += kBlockColumns, x += kBlockColumns * T) {
      const std::int64_t count = min_of(kBlockColumns, args.layout->cols - c);
      const auto* scales = reinterpret_cast<const float*>(block) + lane;
      BUNDLE_UNROLL
      for (int t = 0; t < T; t += H) {
        Sums<V, H> totals;
        BUNDLE_UNROLL
        for (int v = 0; v < V; ++v) BUNDLE_UNROLL
        for (int h = 0; h < H; ++h) totals[v][h] = zero();
        add_fourths<T, V, H, 0>(block + kScaleBytes + lane * 4, count, x + t, totals);
        BUNDLE_UNROLL
        for (int v = 0; v < V; ++v) BUNDLE_UNROLL
        for (int h = 0; h < H; ++h)
          sums[v][t + h] =
              fma(mul(totals[v][h], lacking), load(scales + v * kLanes), sums[v][t + h]);
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
