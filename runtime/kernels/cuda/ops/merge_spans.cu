// Where the spans of a row meet: a block of threads a (row, head), each thread with two
// neighbouring values of all parts, eight parts of them under way at a time.
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kMostWarps = 8;
constexpr int kTogether = 8;

/// The parts of one (row, head).
struct Parts {
  Global<const float> partial;  // (count, floats + 2)
  int count;
  int floats;

  BUNDLE_DEVICE std::int64_t at(int part) const { return std::int64_t{part} * (floats + 2); }

  /// Largest score and sum of all, by the whole warp.
  BUNDLE_DEVICE Floats2 whole() const {
    float top = kNothing;
    for (int s = lane_index(); s < count; s += kWarp) top = largest(top, partial[at(s)]);
    top = max_lanes(top);
    float sum = 0.0f;
    for (int s = lane_index(); s < count; s += kWarp) {
      sum = fused(partial[at(s) + 1], exp_fast(partial[at(s)] - top), sum);
    }
    return {top, sum_lanes(sum)};
  }

  /// Values c and c + 1 of all.
  BUNDLE_DEVICE Floats2 mixed(int c, float top) const {
    Floats2 values{};
    for (int first = 0; first < count; first += kTogether) {
      Floats2 parts[kTogether];
      float tops[kTogether];
      BUNDLE_UNROLL
      for (int u = 0; u < kTogether; ++u) {
        const int s = first + u < count ? first + u : count - 1;
        tops[u] = partial[at(s)];
        parts[u] = partial.load<Floats2>(at(s) + 2 + c);
      }
      BUNDLE_UNROLL
      for (int u = 0; u < kTogether; ++u) {
        const float factor = first + u < count ? exp_fast(tops[u] - top) : 0.0f;
        values.v[0] = fused(parts[u].v[0], factor, values.v[0]);
        values.v[1] = fused(parts[u].v[1], factor, values.v[1]);
      }
    }
    return values;
  }
};

BUNDLE_KERNEL(kMostWarps* kWarp, 1)
meet_spans(const SpanMerge a) {
  allow_next();
  wait_for_previous();
  const std::int64_t row = block_y();
  const int head = block_x();
  const Sight sight = Sight::of(a.map, 0, row, a.parts);
  if (sight.position < 0 || sight.spans == 1) return;
  const Parts parts{Global<const float>(a.partial + partial_at(row, a.heads, head, 0, a.floats,
                                                               a.max_positions, a.parts)),
                    sight.spans, a.floats};
  const Floats2 whole = parts.whole();
  const Global<float> out(a.out + (row * a.heads + head) * a.cols);
  for (int c = 2 * thread_index(); c < a.cols; c += 2 * block_threads()) {
    const Floats2 values = parts.mixed(c, whole.v[0]);
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) {
      if (c + i < a.cols) out.put(c + i, values.v[i] / whole.v[1]);
    }
  }
}

}  // namespace

void merge_spans(Stream stream, const SpanMerge& merge) {
  const int warps = (merge.cols + 2 * kWarp - 1) / (2 * kWarp);
  const LaunchGrid grid{
      .x = static_cast<unsigned>(merge.heads),
      .y = static_cast<unsigned>(merge.rows),
      .threads = static_cast<unsigned>(kWarp * (warps < kMostWarps ? warps : kMostWarps))};
  launch(stream, "meet_spans", meet_spans, grid, merge);
}

}  // namespace bundle::kernels::cuda
