#include "runtime/kernels/cpu/latent_runner.h"

#include <algorithm>

#include "runtime/kernels/cpu/latent_tiles.h"

namespace bundle::kernels::cpu {
namespace {

/// Query rows of a piece. Every piece makes its chunk's keys (and values) anew, so that many rows
/// must share them.
constexpr std::int64_t kExpandedRows = 256;
constexpr std::int64_t kAbsorbedRows = 128;
/// Multiplications that are worth a thread's while.
constexpr std::int64_t kGrainProducts = 65536;

const PackedPart& part_of(const Matrix& matrix, std::int64_t head) {
  return static_cast<const PackedMatrix&>(matrix).parts()[static_cast<std::size_t>(head)];
}

std::int64_t grain_heads(std::int64_t products_each) {
  return std::max<std::int64_t>(1, kGrainProducts / std::max<std::int64_t>(1, products_each));
}

}  // namespace

void LatentRunner::run(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                       std::span<const Slice> slices, const CpuKvCache& cache, std::int64_t layer,
                       Tensor out) {
  expanded_.clear();
  absorbed_.clear();
  rows_.clear();
  for (const Slice& slice : slices) {
    if (slice.expanded) {
      expanded_.push_back(slice);
      continue;
    }
    absorbed_.push_back(slice);
    absorbed_.back().first_row = static_cast<std::int64_t>(rows_.size());
    for (std::int64_t i = 0; i < slice.rows; ++i) rows_.push_back(slice.first_row + i);
  }
  if (!expanded_.empty()) run_expanded(q, shape, weights, cache, layer, out);
  if (!rows_.empty()) run_absorbed(q, shape, weights, cache, layer, out);
}

void LatentRunner::run_expanded(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                                const CpuKvCache& cache, std::int64_t layer, Tensor out) {
  const ExpandedTiles tiles(table_, cache, layer, shape, weights);
  AttentionTask task;
  task.q = q;
  task.heads = task.kv_heads = shape.heads;
  task.head_dim = shape.query_dim();
  task.value_head_dim = shape.value_dim;
  task.dim = tiles.dim();
  task.value_dim = task.value_stride = tiles.value_dim();
  task.scale = shape.scale;
  task.type = KvType::kF32;
  task.piece_rows = kExpandedRows;
  task.out = out;
  attention_.run(task, expanded_, tiles);
}

void LatentRunner::run_absorbed(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                                const CpuKvCache& cache, std::int64_t layer, Tensor out) {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  float* queries = queries_.floats(rows * shape.heads * shape.latent_dim());
  float* mixed = mixed_.floats(rows * shape.heads * shape.rank);
  absorb_queries(q, shape, *weights.key_absorb, queries);
  AttentionTask task;
  task.q = {queries, rows, shape.heads * shape.latent_dim()};
  task.heads = shape.heads;
  task.kv_heads = 1;
  task.head_dim = shape.latent_dim();
  task.value_head_dim = shape.rank;
  task.dim = task.value_stride = cache.dim();
  task.value_dim = (shape.rank + kTile - 1) / kTile * kTile;
  task.scale = shape.scale;
  task.type = cache.type();
  task.piece_rows = kAbsorbedRows;
  task.out = {mixed, rows, shape.heads * shape.rank};
  attention_.run(task, absorbed_, AbsorbedTiles(cache, layer));
  raise_values(mixed, shape, *weights.value_up, out);
}

/// out (rows, heads, latent_dim): each head's query for the latents, the rotated part behind it.
void LatentRunner::absorb_queries(Tensor q, const LatentShape& shape, const Matrix& key_absorb,
                                  float* out) {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t stride = shape.heads * shape.latent_dim();
  float* plain = plain_.floats(pool_.threads() * rows * shape.nope_dim);
  pool_.run(shape.heads, grain_heads(rows * shape.nope_dim * shape.rank),
            [&](std::int64_t begin, std::int64_t end, int thread) {
              float* heads = plain + thread * rows * shape.nope_dim;
              for (std::int64_t h = begin; h < end; ++h) {
                for (std::int64_t i = 0; i < rows; ++i) {
                  const float* head = q.f32() + rows_[i] * q.cols + h * shape.query_dim();
                  std::copy_n(head, shape.nope_dim, heads + i * shape.nope_dim);
                  std::copy_n(head + shape.nope_dim, shape.rope_dim,
                              out + i * stride + h * shape.latent_dim() + shape.rank);
                }
                multiply_part(table_, part_of(key_absorb, h), heads, shape.nope_dim, rows,
                              out + h * shape.latent_dim(), stride,
                              activations_[static_cast<std::size_t>(thread)]);
              }
            });
}

/// Each head's mixed latent (rows, heads, rank) to its value, in the batch's rows of `out`.
void LatentRunner::raise_values(const float* mixed, const LatentShape& shape,
                                const Matrix& value_up, Tensor out) {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  float* values = plain_.floats(pool_.threads() * rows * shape.value_dim);
  pool_.run(shape.heads, grain_heads(rows * shape.value_dim * shape.rank),
            [&](std::int64_t begin, std::int64_t end, int thread) {
              float* head = values + thread * rows * shape.value_dim;
              for (std::int64_t h = begin; h < end; ++h) {
                multiply_part(table_, part_of(value_up, h), mixed + h * shape.rank,
                              shape.heads * shape.rank, rows, head, shape.value_dim,
                              activations_[static_cast<std::size_t>(thread)]);
                for (std::int64_t i = 0; i < rows; ++i)
                  std::copy_n(head + i * shape.value_dim, shape.value_dim,
                              out.f32() + rows_[i] * out.cols + h * shape.value_dim);
              }
            });
}

}  // namespace bundle::kernels::cpu
