// What the matrix kernels of all weight types share: the walk over blocks of sixteen rows and tiles
// of tokens, and the end of a sum. A kernel gives `add_tile`, which sums V vectors of kLanes rows
// times T tokens over all columns, and `vectors`, the V it wants for a T. The order of a sum
// depends on neither, so a token's result does not depend on the tokens beside it.
#pragma once

#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/simd/vec.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

/// Writes the sums of T tokens and up to kLanes rows: y (+)= sum + bias.
template <int T>
BUNDLE_INLINE void finish_tile(const F32 (&sums)[T], const GemmArgs& args, std::int64_t token,
                               std::int64_t row) {
  const std::int64_t rows = args.rows - row;
  const F32 bias = args.bias != nullptr ? load_n(args.bias + row, rows) : zero();
  BUNDLE_UNROLL
  for (int t = 0; t < T; ++t) {
    float* y = args.y + (token + t) * args.y_stride + row;
    F32 value = add(sums[t], bias);
    if (args.accumulate) value = add(load_n(y, rows), value);
    store_n(y, value, rows);
  }
}

/// One tile of T tokens with one block of rows, V vectors of rows at a time.
template <typename Kernel, int T, int V>
BUNDLE_INLINE void run_tile(const GemmArgs& args, const std::byte* block,
                            const std::byte* activations, std::int64_t token, std::int64_t row) {
  for (int lane = 0; lane < kPackRows && row + lane < args.rows; lane += V * kLanes) {
    F32 sums[V][T];
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) BUNDLE_UNROLL
    for (int t = 0; t < T; ++t) sums[v][t] = zero();
    Kernel::template add_tile<T, V>(args, block, lane, activations, sums);
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v)
      if (row + lane + v * kLanes < args.rows)
        finish_tile<T>(sums[v], args, token, row + lane + v * kLanes);
  }
}

/// The same with as many vectors at a time as the kernel asks for, given a tile's tokens.
template <typename Kernel, int T>
BUNDLE_INLINE void run_tile(const GemmArgs& args, const std::byte* block,
                            const std::byte* activations, std::int64_t token, std::int64_t row) {
  run_tile<Kernel, T, Kernel::vectors(T)>(args, block, activations, token, row);
}

template <typename Kernel>
void gemm(const GemmArgs& args) {
  const std::byte* block = args.weights;
  for (std::int64_t row = 0; row < args.rows; row += kPackRows, block += args.layout->stride) {
    const std::byte* activations = args.activations;
    const std::int64_t token_bytes = args.activation_layout.token_bytes();
    for (std::int64_t token = 0; token < args.tokens;) {
      const std::int64_t tile = tile_tokens(args.tokens - token, kMaxTile);
      if constexpr (kMaxTile >= 8) {
        if (tile == 8) run_tile<Kernel, 8>(args, block, activations, token, row);
      }
      if (tile == 4) run_tile<Kernel, 4>(args, block, activations, token, row);
      if (tile == 2) run_tile<Kernel, 2>(args, block, activations, token, row);
      if (tile == 1) run_tile<Kernel, 1>(args, block, activations, token, row);
      token += tile;
      activations += tile * token_bytes;
    }
  }
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
