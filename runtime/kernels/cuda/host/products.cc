#include "runtime/kernels/cuda/host/products.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kPlaneColumns = 64;
constexpr std::int64_t kWideRows = 128;      // of weights, a block of matmul_wide
constexpr std::int64_t kScaleColumns = 128;  // splits begin where scales do
constexpr std::int64_t kMostSplits = 8;
constexpr std::int64_t kMostSplitTokens = 512;
constexpr double kSplitCost = 0.03;  // of the time, for the sums of one more

std::int64_t up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool of_experts(const MatmulArgs& args) { return args.stack.tiles != nullptr; }

/// Rows and columns of the activations that a product reads.
struct Activations {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;
};

Activations activations(const MatmulArgs& args) {
  const std::int64_t stride = args.x_stride == 0 ? args.w.cols : args.x_stride;
  const bool heads = args.stack.count > 1 && !of_experts(args);
  return {args.tokens / args.stack.share, heads ? stride : args.w.cols, stride};
}

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

Products::Products(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
                   bool deterministic)
    : stream_(stream),
      ops_(ops),
      deterministic_(deterministic),
      hopper_(driver.facts().sm == 90),
      multiprocessors_(std::max(1, driver.facts().multiprocessors)),
      normed_(driver, stream, changes, "normalized activations"),
      planes_(driver, stream, changes, "rounded activations"),
      partial_(driver, stream, changes, "parts of a product") {}

Status Products::run(const MatmulArgs& args) {
  if (many(args.tokens)) return run_many(args);
  ops_.matmul(stream_, args);
  return {};
}

Status Products::run_many(MatmulArgs args) {
  if (args.norm != nullptr) {
    const Activations x = activations(args);
    BUNDLE_CHECK(normed_.reserve_floats(x.rows * x.cols));
    ops_.rms_norm(stream_, {args.x, args.norm, normed_.floats(), x.rows, x.cols, args.eps});
    args.x = normed_.floats();
    args.norm = nullptr;
  }
  if (takes_wide(args)) return run_wide(args);
  ops_.matmul_tiles(stream_, args);
  return {};
}

bool Products::takes_wide(const MatmulArgs& args) const {
  const bool bytes = args.w.kind == WeightKind::kF8 || args.w.kind == WeightKind::kInt8;
  const std::int64_t step = bytes ? 16 : 8;
  return hopper_ && (bytes || args.w.kind == WeightKind::kBF16) && args.w.cols % 8 == 0 &&
         args.stack.x_step % step == 0 && (args.stack.x_step == 0 || args.w.cols % step == 0);
}

void Products::choose_tile(WideArgs& wide) const {
  const MatmulArgs& p = wide.product;
  if (of_experts(p)) {
    wide.tile = kTokensTile;
    return;
  }
  const std::int64_t row_tiles = up(p.w.rows, kWideRows);
  wide.tile = p.tokens <= 32 ? 32 : p.tokens <= 64 ? 64 : 128;
  const bool large = p.w.kind == WeightKind::kBF16 && wide.parts == 1 && p.tokens > 128;
  if (large && row_tiles * up(p.tokens, 256) >= multiprocessors_) wide.tile = 256;
  if (p.stack.count > 1 || p.tokens > kMostSplitTokens) return;
  const bool small = wide.tile * wide.parts <= 64;
  wide.splits = choose_splits(row_tiles * up(p.tokens, wide.tile),
                              multiprocessors_ * (small ? 2 : 1), up(p.w.cols, kScaleColumns));
}

Status Products::run_wide(const MatmulArgs& args) {
  const Activations x = activations(args);
  const std::int64_t width = up(x.cols, kPlaneColumns) * kPlaneColumns;
  BUNDLE_CHECK(
      planes_.reserve(static_cast<std::size_t>(parts_ * x.rows * width) * sizeof(std::uint16_t)));
  WideArgs wide{};
  wide.product = args;
  auto* planes = reinterpret_cast<std::uint16_t*>(planes_.data());
  wide.x = planes;
  wide.x_rows = x.rows;
  wide.x_width = width;
  wide.parts = parts_;
  choose_tile(wide);
  if (wide.splits > 1) {
    BUNDLE_CHECK(partial_.reserve_floats(wide.splits * args.tokens * args.w.rows));
    wide.partial = partial_.floats();
  }
  const bool permuted = args.w.kind != WeightKind::kBF16;
  ops_.cut_rows(stream_, {args.x, x.stride, planes, x.rows, x.cols, width, parts_, permuted});
  ops_.matmul_wide(stream_, wide);
  return {};
}

}  // namespace bundle::kernels::cuda
