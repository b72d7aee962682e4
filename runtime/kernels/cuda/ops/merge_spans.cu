// Where the spans of a row meet (spans.h): a block of threads a head and 128 of its values, one a
// thread. Lanes compute the spans' factors once, one each, and hand them round.
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kColumns = 128;  // a block
constexpr int kUnderWay = 8;   // values that a thread has under way

/// The spans of one row and head.
struct Spans {
  Global<const float> parts;
  int count;
  int floats;  // of one

  BUNDLE_DEVICE float top(int span) const { return parts[span * floats]; }
  BUNDLE_DEVICE float sum(int span) const { return parts[span * floats + 1]; }
  BUNDLE_DEVICE int last(int span) const { return span < count ? span : count - 1; }

  BUNDLE_DEVICE float largest_top() const {
    float highest = kNothing;
    for (int s = lane_index(); s < count; s += kWarp) highest = largest(highest, top(s));
    return max_lanes(highest);
  }
  /// What span `first` + lane counts for; nothing where there is none.
  BUNDLE_DEVICE float factor(int first, float highest) const {
    const int span = first + lane_index();
    return span < count ? exp_fast(top(span) - highest) : 0.0f;
  }
};

BUNDLE_KERNEL(kColumns, 1)
merge_spans(const AttentionArgs a) {
  wait_for_previous();
  allow_next();
  const std::int64_t row = block_y();
  const int head = block_x();
  const Sight sight = Sight::of(a.map, a.window, row, a.parts);
  if (sight.position < 0 || sight.spans == 1) return;
  const Spans spans{
      Global<const float>(
          a.partial + partial_at(row, a.heads, head, 0, a.cache.stride, a.max_positions, a.parts)),
      sight.spans, a.cache.stride + 2};
  const int column = block_z() * kColumns + thread_index();
  const bool there = column < a.cache.head_dim;
  const int at = 2 + (there ? column : 0);
  const float highest = spans.largest_top();
  float sum = 0.0f;
  float value = 0.0f;
  for (int first = 0; first < spans.count; first += kWarp) {
    const float mine = spans.factor(first, highest);
    sum = fused(spans.sum(spans.last(first + lane_index())), mine, sum);
    for (int s = 0; s < kWarp && first + s < spans.count; s += kUnderWay) {
      float values[kUnderWay];
      BUNDLE_UNROLL
      for (int u = 0; u < kUnderWay; ++u) {
        values[u] = spans.parts[spans.last(first + s + u) * spans.floats + at];
      }
      BUNDLE_UNROLL
      for (int u = 0; u < kUnderWay; ++u) {
        value = fused(values[u], shuffle_from(mine, s + u), value);
      }
    }
  }
  sum = sum_lanes(sum);
  if (there) {
    Global<float>(a.out).put((row * a.heads + head) * a.cache.head_dim + column, value / sum);
  }
}

}  // namespace

void merge_all_spans(Stream stream, const AttentionArgs& args) {
  const LaunchGrid grid{.x = static_cast<unsigned>(args.heads),
                        .y = static_cast<unsigned>(args.rows),
                        .z = static_cast<unsigned>((args.cache.head_dim + kColumns - 1) / kColumns),
                        .threads = kColumns};
  launch(stream, "merge_spans", merge_spans, grid, args);
}

}  // namespace bundle::kernels::cuda
