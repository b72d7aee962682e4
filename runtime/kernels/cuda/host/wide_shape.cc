#include "runtime/kernels/cuda/host/wide_shape.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kWideRows = 128;      // of weights, a block of matmul_wide
constexpr std::int64_t kScaleColumns = 128;  // splits begin where scales do
constexpr std::int64_t kMostSplits = 8;
constexpr std::int64_t kMostSplitTokens = 512;
constexpr double kSplitCost = 0.03;  // of the time, for the sums of one more

std::int64_t up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Splits of a product's columns, so that `slots` blocks at a time are used best.
int choose_splits(std::int64_t blocks, std::int64_t slots, std::int64_t parts) {
  int best = 1;
  double most = 0.0;
  for (int splits = 1; splits <= std::min(kMostSplits, parts); ++splits) {
    const std::int64_t all = blocks * splits;
    const double used = static_cast<double>(all) / static_cast<double>(up(all, slots) * slots) -
                        kSplitCost * splits;
    if (used <= most) continue;
    most = used;
    best = splits;
  }
  // None is empty.
  return static_cast<int>(up(parts, up(parts, best)));
}

}  // namespace

WideShape choose_wide(const MatmulArgs& product, int parts, int multiprocessors) {
  if (product.stack.tiles != nullptr) return {kTokensTile, 1};
  const std::int64_t tokens = product.tokens;
  const std::int64_t row_tiles = up(product.w.rows / product.stack.count, kWideRows);
  int tile = tokens <= 32 ? 32 : tokens <= 64 ? 64 : 128;
  const bool large = product.w.kind == WeightKind::kBF16 && parts == 1 && tokens > 128;
  if (large && row_tiles * up(tokens, 256) >= multiprocessors) tile = 256;
  if (product.stack.count > 1 || tokens > kMostSplitTokens) return {tile, 1};
  const int blocks = tile * parts <= 64 ? 2 : 1;  // that share a multiprocessor
  return {tile, choose_splits(row_tiles * up(tokens, tile), std::int64_t{multiprocessors} * blocks,
                              up(product.w.cols, kScaleColumns))};
}

}  // namespace bundle::kernels::cuda
