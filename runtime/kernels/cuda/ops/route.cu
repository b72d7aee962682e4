// The choice of experts: a warp a row. Each choice is the next one in an order of all experts, by
// what is largest and then by the lower number, so nothing needs to be taken out of a list.
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/cuda/ops/reduce.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr float kNever = -3.4e38f;
/// Keeps the quotient finite where all scores vanish; as published.
constexpr float kTinySum = 1e-20f;

struct Choice {
  float value;
  int expert;

  BUNDLE_DEVICE bool before(const Choice& other) const {
    return value > other.value || (value == other.value && expert < other.expert);
  }
};

/// The first of the warp's choices; every lane gets it.
BUNDLE_DEVICE Choice first_of_lanes(Choice mine) {
  BUNDLE_UNROLL
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const Choice other{shuffle_xor(mine.value, mask), shuffle_xor(mine.expert, mask)};
    if (other.before(mine)) mine = other;
  }
  return mine;
}

/// One row's router, in the shared memory of its warp.
struct Router {
  const RouteArgs& a;
  std::int64_t row;
  Shared<float> scores;   // (experts): the weights come from these
  Shared<float> choices;  // (experts): and the order from these
  Shared<float> sums;     // (groups)

  BUNDLE_DEVICE float logit(int e) const {
    return Global<const float>(a.logits)[row * a.experts + e];
  }

  BUNDLE_DEVICE void score() const {
    float top = 0.0f;
    float divisor = 1.0f;
    if (!a.sigmoid) {
      top = kNever;
      for (int e = lane_index(); e < a.experts; e += kWarp) top = largest(top, logit(e));
      top = max_lanes(top);
      float sum = 0.0f;
      for (int e = lane_index(); e < a.experts; e += kWarp) sum += exp_fast(logit(e) - top);
      divisor = sum_lanes(sum);
    }
    for (int e = lane_index(); e < a.experts; e += kWarp) {
      const float value =
          a.sigmoid ? 1.0f / (1.0f + exp_fast(-logit(e))) : exp_fast(logit(e) - top) / divisor;
      scores.put(e, value);
      choices.put(e, a.bias == nullptr ? value : value + Global<const float>(a.bias)[e]);
    }
    sync_warp();
  }

  /// The first choice behind `last` among experts [from, to) of the groups in `kept`.
  BUNDLE_DEVICE Choice next(const Choice& last, int from, int to, std::uint64_t kept) const {
    const int size = a.experts / a.groups;
    Choice best{kNever, a.experts};
    for (int e = from + lane_index(); e < to; e += kWarp) {
      if ((kept >> (e / size) & 1u) == 0) continue;
      const Choice here{choices[e], e};
      if (last.before(here) && here.before(best)) best = here;
    }
    return first_of_lanes(best);
  }

  /// A bit for each of the groups that stay.
  BUNDLE_DEVICE std::uint64_t keep_groups() const {
    if (a.top_groups >= a.groups) return ~std::uint64_t{0};
    const int size = a.experts / a.groups;
    for (int g = 0; g < a.groups; ++g) {
      Choice last{-kNever, -1};
      float sum = 0.0f;
      for (int i = 0; i < a.group_best; ++i) {
        last = next(last, g * size, (g + 1) * size, ~std::uint64_t{0});
        sum += last.value;
      }
      if (lane_index() == 0) sums.put(g, sum);
    }
    sync_warp();
    std::uint64_t kept = 0;
    for (int i = 0; i < a.top_groups; ++i) {
      int best = -1;
      for (int g = 0; g < a.groups; ++g) {
        if ((kept >> g & 1u) == 0 && (best < 0 || sums[g] > sums[best])) best = g;
      }
      kept |= std::uint64_t{1} << best;
    }
    return kept;
  }

  /// Logits that are no numbers choose nothing: the first experts stand in, so that the step ends.
  BUNDLE_DEVICE void choose(std::uint64_t kept) const {
    Choice last{-kNever, -1};
    float sum = 0.0f;
    float mine = 0.0f;
    for (int k = 0; k < a.top_k; ++k) {
      last = next(last, 0, a.experts, kept);
      const int expert = last.expert < a.experts ? last.expert : k;
      const float score = scores[expert];
      sum += score;
      if (lane_index() != k) continue;
      mine = score;
      Global<std::int32_t>(a.chosen).put(row * a.top_k + k, expert);
    }
    const float divisor = a.normalize ? sum + kTinySum : 1.0f;
    if (lane_index() < a.top_k) {
      Global<float>(a.weights).put(row * a.top_k + lane_index(), mine / divisor * a.scale);
    }
  }
};

BUNDLE_KERNEL(kWarps* kWarp, 1)
route_rows(const RouteArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t row = std::int64_t{block_x()} * kWarps + warp_index();
  if (row >= a.rows) return;
  const int floats = 2 * a.experts + a.groups;
  const std::size_t room = sizeof(float) * static_cast<std::size_t>(warp_index() * floats);
  const std::size_t experts = sizeof(float) * static_cast<std::size_t>(a.experts);
  const Router router{a, row, Shared<float>(room), Shared<float>(room + experts),
                      Shared<float>(room + 2 * experts)};
  router.score();
  router.choose(router.keep_groups());
}

}  // namespace

void route(Stream stream, const RouteArgs& args) {
  const LaunchGrid grid{.x = static_cast<unsigned>((args.rows + kWarps - 1) / kWarps),
                        .threads = kWarps * kWarp,
                        .shared_bytes = sizeof(float) * kWarps *
                                        static_cast<std::size_t>(2 * args.experts + args.groups)};
  if (grid.x > 0) launch(stream, "route_rows", route_rows, grid, args);
}

}  // namespace bundle::kernels::cuda
