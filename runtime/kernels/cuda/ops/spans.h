// Flash decoding: a row's cached positions cut into spans, each with a running softmax of its own,
// and how those meet. Where spans begin depends on the row's own position alone, and all merging
// has a fixed order.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

inline constexpr float kNothing = -3.0e38f;  // the score of no position

/// The running softmax of one query head: largest score, sum of weights, and a lane's N of the
/// weighted values.
template <int N>
struct Running {
  float top = kNothing;
  float sum = 0.0f;
  float values[N] = {};

  /// Another's come in; the order of the two matters to the last bit.
  BUNDLE_DEVICE void merge(float other_top, float other_sum, const float (&others)[N]) {
    const float highest = largest(top, other_top);
    const float keep = exp_fast(top - highest);
    const float add = exp_fast(other_top - highest);
    top = highest;
    sum = sum * keep + other_sum * add;
    BUNDLE_UNROLL
    for (int i = 0; i < N; ++i) values[i] = values[i] * keep + others[i] * add;
  }
};

/// What one row sees.
struct Sight {
  int position;
  int first;  // position that it sees first
  int span;   // positions a span
  int spans;

  BUNDLE_DEVICE static Sight of(const RowMap& map, std::int64_t window, std::int64_t row,
                                int parts) {
    const int position = Global<const std::int32_t>(map.positions)[row];
    const int shift = span_shift(position + 1, parts);
    const int first =
        window > 0 && position >= window ? position + 1 - static_cast<int>(window) : 0;
    return {position, first, 1 << shift, (position >> shift) + 1};
  }
  /// One behind the last position of a span.
  BUNDLE_DEVICE int end(int index) const {
    const int start = index * span;
    return start + span <= position ? start + span : position + 1;
  }
};

/// A row's part in the partial results (rows, heads, spans): top, sum and `floats` values of
/// (row, head, span).
BUNDLE_DEVICE std::int64_t partial_at(std::int64_t row, int heads, int head, int span, int floats,
                                      std::int64_t max_positions, int parts) {
  return ((row * heads + head) * most_spans(max_positions, parts) + span) * (floats + 2);
}

/// Partial results that are to meet.
struct SpanMerge {
  const float* partial;
  float* out;  // (rows, heads, cols)
  std::int64_t rows;
  int heads;
  int cols;
  int floats;  // values of a part, even: the first cols of them count
  RowMap map;
  std::int64_t max_positions;
  int parts;  // as of span_tokens
};

/// Queues the meeting of all spans, of rows that have more than one.
void merge_spans(Stream stream, const SpanMerge& merge);

}  // namespace bundle::kernels::cuda
