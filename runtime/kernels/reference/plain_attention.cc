#include "runtime/kernels/reference/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/kernels/reference/plain_dot.h"
#include "runtime/kernels/reference/plain_rope.h"

namespace bundle::kernels::reference {
namespace {

/// Turns scores into weights that sum to one.
void softmax(std::span<float> scores) {
  const float top = *std::max_element(scores.begin(), scores.end());
  float sum = 0.0f;
  for (float& score : scores) sum += score = std::exp(score - top);
  for (float& score : scores) score /= sum;
}

/// Keys and values of one head, positions first … end - 1, widened to float (positions, head_dim).
struct HeadHistory {
  std::int64_t first, end, head_dim;
  std::vector<float> keys, values;

  HeadHistory(const PlainCache& cache, std::int64_t layer, const Slice& slice, std::int64_t kv_head,
              std::int64_t from)
      : first(from), end(slice.position + slice.rows), head_dim(cache.shape().head_dim) {
    keys.resize(static_cast<std::size_t>((end - first) * head_dim));
    values.resize(keys.size());
    for (std::int64_t p = first; p < end; ++p) {
      cache.load_key(layer, slice, p, kv_head, keys.data() + (p - first) * head_dim);
      cache.load_value(layer, slice, p, kv_head, values.data() + (p - first) * head_dim);
    }
  }
};

/// First position that a row at `position` sees.
std::int64_t window_start(const AttentionShape& shape, std::int64_t position) {
  if (shape.sliding_window <= 0) return 0;
  return std::max<std::int64_t>(0, position + 1 - shape.sliding_window);
}

/// One head of one row over positions from … to.
void attend_head(const HeadHistory& history, const float* q, float scale, std::int64_t from,
                 std::int64_t to, std::vector<float>& scores, float* out) {
  const std::int64_t dim = history.head_dim;
  scores.resize(static_cast<std::size_t>(to - from + 1));
  for (std::int64_t p = from; p <= to; ++p) {
    scores[p - from] = scale * dot(q, history.keys.data() + (p - history.first) * dim, dim);
  }
  softmax(scores);
  std::fill_n(out, dim, 0.0f);
  for (std::int64_t p = from; p <= to; ++p) {
    const float* value = history.values.data() + (p - history.first) * dim;
    for (std::int64_t d = 0; d < dim; ++d) out[d] += scores[p - from] * value[d];
  }
}

}  // namespace

void rms_norm_row(const float* x, const float* weight, std::int64_t n, float eps, float* out) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const float factor = 1.0f / std::sqrt(mean + eps);
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                    Vector k_norm, float eps, std::span<const Slice> slices, PlainCache& cache,
                    std::int64_t layer) {
  const std::int64_t dim = shape.head_dim;
  for (const Slice& slice : slices) {
    for (std::int64_t i = 0; i < slice.rows; ++i) {
      const Rotation rotation(rope, slice.position + i);
      float* row = qkv.f32() + (slice.first_row + i) * qkv.cols;
      for (std::int64_t h = 0; h < shape.heads + shape.kv_heads; ++h) {
        float* head = row + h * dim;
        const Vector norm = h < shape.heads ? q_norm : k_norm;
        if (norm.data != nullptr) rms_norm_row(head, norm.data, dim, eps, head);
        rotate(rope, rotation, head);
      }
      const float* k = row + shape.heads * dim;
      cache.store(layer, slice, slice.position + i, k, k + shape.kv_heads * dim);
    }
  }
}

void attend(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
            const PlainCache& cache, std::int64_t layer, Tensor out) {
  const std::int64_t dim = shape.head_dim;
  const std::int64_t group = shape.heads / shape.kv_heads;
  std::vector<float> scores;
  for (const Slice& slice : slices) {
    for (std::int64_t kv_head = 0; kv_head < shape.kv_heads && slice.rows > 0; ++kv_head) {
      const HeadHistory history(cache, layer, slice, kv_head, window_start(shape, slice.position));
      for (std::int64_t i = 0; i < slice.rows; ++i) {
        const std::int64_t position = slice.position + i;
        const std::int64_t row = slice.first_row + i;
        for (std::int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
          attend_head(history, qkv.f32() + row * qkv.cols + h * dim, shape.scale,
                      window_start(shape, position), position, scores,
                      out.f32() + row * out.cols + h * dim);
        }
      }
    }
  }
}

}  // namespace bundle::kernels::reference
