// The inner loops that are compiled once per instruction set, as a table of functions. None of them
// allocates, takes a lock or knows of threads: each does the part of an operation that it is told.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernels/cpu/activations.h"
#include "runtime/kernels/cpu/packed_layout.h"

namespace bundle::kernels::cpu {

/// Converts rows of x to a matrix kernel's activations.
struct PrepareArgs {
  const float* x = nullptr;  // (tokens, layout.cols), rows x_stride floats apart
  std::int64_t x_stride = 0;
  const float* const* rows = nullptr;  // not null: where each token's row lies, instead of x
  std::int64_t tokens = 0;
  const float* norm_weight = nullptr;  // not null: RMSNorm first
  float eps = 0.0f;
  float* scratch = nullptr;  // (cols), used with norm_weight
  ActivationLayout layout;
  std::byte* out = nullptr;  // (tokens · layout.token_bytes())
};

/// y = x Wᵀ for consecutive blocks of sixteen weight rows and all tokens.
struct GemmArgs {
  const PackedLayout* layout = nullptr;
  const std::byte* weights = nullptr;  // of the first block
  std::int64_t rows = 0;               // of W; the last block may be part empty
  const std::byte* activations = nullptr;
  ActivationLayout activation_layout;
  std::int64_t tokens = 0;
  float* y = nullptr;  // (tokens, rows), rows of y y_stride floats apart
  std::int64_t y_stride = 0;
  const float* bias = nullptr;  // (rows) or null
  bool accumulate = false;
};

/// One row: out = x / sqrt(mean(x²) + eps) · weight.
using RmsNorm = void (*)(const float* x, const float* weight, float eps, std::int64_t n,
                         float* out);

/// Rotates one head in place. cos and sin have rotary_dim / 2 entries each.
using Rotate = void (*)(float* head, const float* cos, const float* sin, std::int64_t rotary_dim,
                        bool interleaved);

/// The attention of a tile of query rows to one chunk of positions.
struct AttentionArgs {
  const float* q = nullptr;  // (rows, dim), scaled already
  std::int64_t rows = 0;
  std::int64_t dim = 0;           // of queries and keys, a multiple of 16
  std::int64_t value_dim = 0;     // of values, a multiple of 16
  std::int64_t value_stride = 0;  // elements from one position's value to the next
  std::int64_t first_tile = 0;    // tiles of the chunk that any row sees: [first_tile, last_tile)
  std::int64_t last_tile = 0;
  const std::byte* const* k_tiles = nullptr;  // [last_tile] → (dim, 16), scales behind it (kI8)
  const std::byte* const* v_tiles = nullptr;  // [last_tile] → (16, value_stride), likewise
  const std::int64_t* begin = nullptr;        // (rows) positions in the chunk that a row sees:
  const std::int64_t* end = nullptr;          // [begin, end); none when begin ≥ end
  float* scores = nullptr;                    // scratch (rows, kChunk)
  float* max = nullptr;                       // (rows) out: largest score
  float* sum = nullptr;                       // (rows) out: Σ exp(score − max)
  float* out = nullptr;                       // (rows, value_dim) out: Σ exp(score − max) · v
};

/// One row of a chunk joins those before it: (max, sum, out) ← (max, sum, out) ⊕ the second.
using MergeAttention = void (*)(float* max, float* sum, float* out, float max2, float sum2,
                                const float* out2, std::int64_t dim);

/// Positions that attention sums up before it merges: chunk c is [256 c, 256 c + 256) of a
/// sequence, whoever asks, so that a row's result does not depend on the rows beside it.
inline constexpr std::int64_t kChunk = 256;
/// Positions of a tile of the cache.
inline constexpr std::int64_t kTile = 16;

enum class KvType { kF32, kF16, kBf16, kF8, kI8 };
inline constexpr int kKvTypes = 5;

/// Writes one position's head, as the cache stores it. `stride` counts elements. kI8 writes the
/// scale of each group of kKvScaleGroup elements to `scales`, kTile scales apart.
using StoreElements = void (*)(const float* values, std::int64_t n, std::int64_t stride,
                               std::byte* out, std::byte* scales);

/// Without initializers: a constructor would be a function that the instruction sets share.
struct KernelTable {
  bool bf16_dot;  // bfloat16 weights take kBf16 activations, else kF32
  void (*prepare)(const PrepareArgs& args);
  void (*gemm[24])(const GemmArgs& args);  // by DType
  RmsNorm rms_norm;
  Rotate rotate;
  void (*silu_mul)(const float* gate, const float* up, std::int64_t n, float* out);
  StoreElements store[kKvTypes];                        // by KvType
  void (*attend[kKvTypes])(const AttentionArgs& args);  // by KvType
  MergeAttention merge_attention;
};

/// One a folder of flags; call only what cpu_features says that runs.
namespace avx2 {
const KernelTable& kernel_table();
}
namespace avx512 {
const KernelTable& kernel_table();
}
namespace avx512bf16 {
const KernelTable& kernel_table();
}

}  // namespace bundle::kernels::cpu
