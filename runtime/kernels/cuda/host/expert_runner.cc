#include "runtime/kernels/cuda/host/expert_runner.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

/// A batch goes through in parts whose results fit here.
constexpr std::int64_t kPartFloats = std::int64_t{64} << 20;
/// Slots an expert from which tensor cores are worth their larger tiles.
constexpr std::int64_t kManySlots = 8;

std::int64_t rounded(std::int64_t n) { return (n + 63) / 64 * 64; }

}  // namespace

/// One part's memory, and how its slots meet the experts.
struct ExpertRunner::Slots {
  std::int64_t count = 0;
  bool tiles = false;       // on tensor cores
  float* both = nullptr;    // (count, 2 width)
  float* active = nullptr;  // (count, width)
  float* result = nullptr;  // (count, hidden)
  std::int32_t* order = nullptr;
  std::int32_t* starts = nullptr;
  ExpertTile* tile = nullptr;
  std::int64_t tile_count = 0;

  /// The places of a part of `n` slots from `memory` on; gives the floats that it takes.
  std::int64_t lay_out(float* memory, const CudaExperts& experts, std::int64_t n, bool on_tiles,
                       std::int64_t hidden) {
    count = n;
    tiles = on_tiles;
    tile_count = most_expert_tiles(n, experts.count(), tiles ? kTokensTile : kRowsTile);
    std::int64_t at = 0;
    const auto take = [&](std::int64_t floats) {
      float* start = memory == nullptr ? nullptr : memory + at;
      at += rounded(floats);
      return start;
    };
    both = take(n * 2 * experts.width());
    active = take(n * experts.width());
    result = take(n * hidden);
    order = reinterpret_cast<std::int32_t*>(take(n));
    starts = reinterpret_cast<std::int32_t*>(take(experts.count() + 1));
    tile = reinterpret_cast<ExpertTile*>(take(4 * tile_count));
    return at;
  }
};

Status ExpertRunner::run(const CudaExperts& experts, Tensor x, Routing routing, Tensor y) {
  if (x.rows == 0) return {};
  const std::int64_t each = routing.top_k * (3 * experts.width() + x.cols);
  const std::int64_t at_once = std::clamp<std::int64_t>(kPartFloats / each, 1, x.rows);
  const bool tiles = products_.many(at_once * routing.top_k) &&
                     at_once * routing.top_k > kManySlots * experts.count();
  Slots slots;
  BUNDLE_CHECK(work_.reserve_floats(
      slots.lay_out(nullptr, experts, at_once * routing.top_k, tiles, x.cols)));
  for (std::int64_t first = 0; first < x.rows; first += at_once) {
    const std::int64_t rows = std::min(at_once, x.rows - first);
    slots.lay_out(work_.floats(), experts, rows * routing.top_k, tiles, x.cols);
    Routing part = routing;
    part.experts += first * routing.top_k;
    part.weights += first * routing.top_k;
    part.rows = rows;
    BUNDLE_CHECK(run_part(experts, slots, {x.f32() + first * x.cols, rows, x.cols}, part,
                          {y.f32() + first * y.cols, rows, y.cols}));
  }
  return {};
}

Status ExpertRunner::run_part(const CudaExperts& experts, const Slots& slots, Tensor x,
                              Routing routing, Tensor y) {
  // A token's choices differ from each other, so there is nothing to put together.
  const bool alone = x.rows == 1 && !slots.tiles;
  const auto first = static_cast<std::int32_t>(routing.first);
  if (!alone) {
    ops_.plan_experts(stream_, {routing.experts, slots.count, static_cast<int>(experts.count()),
                                slots.tiles ? kTokensTile : kRowsTile, slots.order, slots.starts,
                                slots.tile, slots.tile_count, first});
  }
  const auto args_of = [&](const CudaMatrix& stack, const float* from, std::int64_t share,
                           float* to, std::int64_t stride) {
    MatmulArgs args{};
    args.w = stack.runs().front().matrix;
    args.x = from;
    args.y = to;
    args.y_stride = stride;
    args.tokens = slots.count;
    args.stack.count = experts.count();
    args.stack.share = share;
    args.stack.first = first;
    if (alone) {
      args.stack.chosen = routing.experts;
    } else {
      args.stack.order = slots.order;
      args.stack.tiles = slots.tile;
      args.stack.tile_count = slots.tile_count;
    }
    return args;
  };
  const auto multiply = [&](const MatmulArgs& args) -> Status {
    if (slots.tiles) return products_.run_many(args);
    ops_.matmul(stream_, args);
    return {};
  };
  const std::int64_t width = experts.width();
  const auto& gate_up = experts.gate_up();
  MatmulArgs gated = args_of(*gate_up.front().stack, x.f32(), routing.top_k, slots.active, width);
  gated.gated = true;
  if (gate_up.size() == 1 && !slots.tiles && products_.takes_gate(gated)) {
    ops_.matmul(stream_, gated);
  } else {
    for (const CudaExperts::First& part : gate_up) {
      BUNDLE_CHECK(multiply(
          args_of(*part.stack, x.f32(), routing.top_k, slots.both + part.first, 2 * width)));
    }
    ops_.silu_mul(stream_, {slots.both, slots.active, slots.count, width});
  }
  BUNDLE_CHECK(multiply(args_of(experts.down(), slots.active, 1, slots.result, x.cols)));
  ops_.combine(stream_, {slots.result, routing.weights, y.f32(), x.rows, x.cols,
                         static_cast<int>(routing.top_k), routing.experts, first,
                         static_cast<std::int32_t>(experts.count())});
  return {};
}

}  // namespace bundle::kernels::cuda
