#include "runtime/kernels/reference/plain_latent_attention.h"

#include <vector>

#include "runtime/kernels/reference/plain_attention.h"
#include "runtime/kernels/reference/plain_latent.h"
#include "runtime/kernels/reference/plain_matrix.h"
#include "runtime/kernels/reference/plain_rope.h"

namespace bundle::kernels::reference {
namespace {

std::vector<float> widened(const Matrix* matrix) {
  return static_cast<const PlainMatrix*>(matrix)->widened();
}

/// Latents of a slice's sequence up to the slice's end, (positions, latent_dim).
std::vector<float> load_latents(const LatentShape& shape, const Slice& slice,
                                const PlainCache& cache, std::int64_t layer) {
  const std::int64_t count = slice.position + slice.rows;
  std::vector<float> latents(static_cast<std::size_t>(count * shape.latent_dim()));
  for (std::int64_t p = 0; p < count; ++p) {
    cache.load_key(layer, slice, p, 0, latents.data() + p * shape.latent_dim());
  }
  return latents;
}

/// One head of all rows of a slice.
void attend_head(const LatentShape& shape, const LatentHead<float>& head, std::int64_t h,
                 const Slice& slice, const std::vector<float>& latents, Tensor q, Tensor out) {
  const auto row_of = [&](Tensor x, std::int64_t i, std::int64_t dim) {
    return x.f32() + (slice.first_row + i) * x.cols + h * dim;
  };
  if (!slice.expanded) {
    for (std::int64_t i = 0; i < slice.rows; ++i) {
      attend_absorbed(shape, head, latents.data(), row_of(q, i, shape.query_dim()),
                      slice.position + i + 1, row_of(out, i, shape.value_dim));
    }
    return;
  }
  const ExpandedHistory<float> history(shape, head, latents.data(), slice.position + slice.rows);
  for (std::int64_t i = 0; i < slice.rows; ++i) {
    attend_expanded(shape, history, row_of(q, i, shape.query_dim()), slice.position + i + 1,
                    row_of(out, i, shape.value_dim));
  }
}

}  // namespace

void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape, const RopeTable& rope,
                           Vector norm, float eps, std::span<const Slice> slices, PlainCache& cache,
                           std::int64_t layer) {
  for (const Slice& slice : slices) {
    for (std::int64_t i = 0; i < slice.rows; ++i) {
      const Rotation rotation(rope, slice.position + i);
      float* heads = q.f32() + (slice.first_row + i) * q.cols + shape.nope_dim;
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        rotate(rope, rotation, heads + h * shape.query_dim());
      }
      float* row = latent.f32() + (slice.first_row + i) * latent.cols;
      rms_norm_row(row, norm.data, shape.rank, eps, row);
      rotate(rope, rotation, row + shape.rank);
      cache.store_latent(layer, slice, slice.position + i, row);
    }
  }
}

void latent_attend(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                   std::span<const Slice> slices, const PlainCache& cache, std::int64_t layer,
                   Tensor out) {
  const std::vector<float> key_up = widened(weights.key_up);
  const std::vector<float> value_up = widened(weights.value_up);
  for (const Slice& slice : slices) {
    if (slice.rows == 0) continue;
    const std::vector<float> latents = load_latents(shape, slice, cache, layer);
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const LatentHead<float> head{key_up.data() + h * shape.nope_dim * shape.rank,
                                   value_up.data() + h * shape.value_dim * shape.rank};
      attend_head(shape, head, h, slice, latents, q, out);
    }
  }
}

}  // namespace bundle::kernels::reference
