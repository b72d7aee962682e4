// What lies around the products of experts: slots sorted by expert and cut into tiles, and the sum
// of a token's slots.
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/cuda/ops/reduce.h"

namespace bundle::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

/// Sum of `value` over this lane and those before it.
BUNDLE_DEVICE int sum_up_to(int value) {
  BUNDLE_UNROLL
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const bool there = lane_index() >= distance;
    const int before = shuffle_from(value, there ? lane_index() - distance : lane_index());
    if (there) value += before;
  }
  return value;
}

/// Of n things, those that this lane takes: [from, to).
struct Piece {
  int from;
  int to;

  BUNDLE_DEVICE static Piece of(std::int64_t n) {
    const int each = static_cast<int>((n + kWarp - 1) / kWarp);
    const int from = each * lane_index();
    const int last = from + each;
    return {from, last < n ? last : static_cast<int>(n)};
  }
};

/// A warp an expert: it counts the slots of lower experts, which come before its own, and writes
/// its own in their order.
BUNDLE_KERNEL(kWarp, 1)
order_slots(const ExpertPlanArgs a) {
  allow_next();
  wait_for_previous();
  const Global<const std::int32_t> chosen(a.chosen);
  const Global<std::int32_t> starts(a.starts);
  const int expert = block_x();
  const Piece piece = Piece::of(a.slots);
  int lower = 0;
  int own = 0;
  for (int s = piece.from; s < piece.to; ++s) {
    const std::int32_t e = chosen[s] - a.first;
    lower += e >= 0 && e < expert ? 1 : 0;
    own += e == expert ? 1 : 0;
  }
  const int start = shuffle_from(sum_up_to(lower), kWarp - 1);
  const int own_up_to = sum_up_to(own);
  const int end = start + shuffle_from(own_up_to, kWarp - 1);
  int at = start + own_up_to - own;
  if (lane_index() == 0) starts.put(expert, start);
  if (lane_index() == 0 && expert == a.experts - 1) starts.put(a.experts, end);
  for (int s = piece.from; s < piece.to; ++s) {
    if (chosen[s] - a.first == expert) Global<std::int32_t>(a.order).put(at++, s);
  }
}

/// One warp: each lane cuts the slots of some consecutive experts.
BUNDLE_KERNEL(kWarp, 1)
cut_tiles(const ExpertPlanArgs a) {
  allow_next();
  wait_for_previous();
  const Global<const std::int32_t> starts(a.starts);
  const Global<ExpertTile> tiles(a.tiles);
  const Piece piece = Piece::of(a.experts);
  int count = 0;
  for (int e = piece.from; e < piece.to; ++e) {
    count += (starts[e + 1] - starts[e] + a.tile - 1) / a.tile;
  }
  const int up_to = sum_up_to(count);
  const int all = shuffle_from(up_to, kWarp - 1);
  int at = up_to - count;
  for (int e = piece.from; e < piece.to; ++e) {
    const int end = starts[e + 1];
    for (int first = starts[e]; first < end; first += a.tile) {
      const int left = end - first;
      tiles.put(at++, {e, first, left < a.tile ? left : a.tile, 0});
    }
  }
  for (std::int64_t i = all + lane_index(); i < a.tile_count; i += kWarp) {
    tiles.put(i, {0, 0, 0, 0});
  }
}

BUNDLE_KERNEL(kThreads, 1)
combine_slots(const CombineArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t index = std::int64_t{block_x()} * kThreads + thread_index();
  if (index >= a.rows * a.cols) return;
  const std::int64_t row = index / a.cols;
  const std::int64_t col = index % a.cols;
  const Global<const float> slots(a.slots);
  const Global<const float> weights(a.weights);
  const Global<const std::int32_t> chosen(a.chosen);
  const Global<float> y(a.y);
  float sum = y[index];
  for (int k = 0; k < a.top_k; ++k) {
    const std::int64_t slot = row * a.top_k + k;
    const std::int32_t expert = chosen[slot] - a.first;
    if (expert < 0 || expert >= a.experts) continue;
    sum = fused(weights[slot], slots[slot * a.cols + col], sum);
  }
  y.put(index, sum);
}

}  // namespace

void plan_experts(Stream stream, const ExpertPlanArgs& args) {
  if (args.slots == 0) return;
  const LaunchGrid ordering{.x = static_cast<unsigned>(args.experts), .threads = kWarp};
  launch(stream, "order_slots", order_slots, ordering, args);
  launch(stream, "cut_tiles", cut_tiles, LaunchGrid{.threads = kWarp}, args);
}

void combine(Stream stream, const CombineArgs& args) {
  const LaunchGrid grid{
      .x = static_cast<unsigned>((args.rows * args.cols + kThreads - 1) / kThreads),
      .threads = kThreads};
  if (grid.x > 0) launch(stream, "combine_slots", combine_slots, grid, args);
}

}  // namespace bundle::kernels::cuda
