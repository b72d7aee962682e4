// Keys and values made of a latent cache, in the two forms of latent attention.
#pragma once

#include "runtime/kernels/cpu/attention.h"
#include "runtime/kernels/cpu/matrix_inputs.h"
#include "runtime/kernels/cpu/packed_matrix.h"

namespace bundle::kernels::cpu {

/// Absorbed: a latent is a key as it is, and its first `rank` elements are the value. Values are
/// read in place; keys are turned, a tile at a time.
class AbsorbedTiles final : public TileSource {
 public:
  AbsorbedTiles(const CpuKvCache& cache, std::int64_t layer) : cache_(cache), layer_(layer) {}

  void find(const ChunkPlace& place, TileScratch& scratch) const override;

 private:
  void copy_latent(const Slice& slice, std::int64_t position, std::byte* tile,
                   std::int64_t lane) const;

  const CpuKvCache& cache_;
  std::int64_t layer_;
};

/// Expanded: the latents of a chunk times a head's matrices, in float. Keys are (dim, 16), the
/// rotated part last; values (16, value_dim).
class ExpandedTiles final : public TileSource {
 public:
  ExpandedTiles(const KernelTable& table, const CpuKvCache& cache, std::int64_t layer,
                const LatentShape& shape, const LatentWeights& weights);

  void find(const ChunkPlace& place, TileScratch& scratch) const override;

  /// Elements of a key and of a value as stored.
  std::int64_t dim() const { return dim_; }
  std::int64_t value_dim() const { return value_dim_; }

 private:
  void load_latents(const ChunkPlace& place, std::int64_t first, std::int64_t count,
                    float* out) const;

  const KernelTable& table_;
  const CpuKvCache& cache_;
  std::int64_t layer_;
  const LatentShape& shape_;
  const PackedMatrix& key_up_;
  const PackedMatrix& value_up_;
  std::int64_t dim_;
  std::int64_t value_dim_;
};

/// y (tokens, rows of part `part`) = x · Wᵀ by one part of a matrix; rows of x x_stride floats
/// apart. `memory` grows to hold the converted activations.
void multiply_part(const KernelTable& table, const PackedPart& part, const float* x,
                   std::int64_t x_stride, std::int64_t tokens, float* y, std::int64_t y_stride,
                   std::vector<std::byte>& memory);

}  // namespace bundle::kernels::cpu
