#include "runtime/kernels/cuda/host/products.h"

#include <algorithm>

#include "runtime/kernels/cuda/host/wide_shape.h"

namespace bundle::kernels::cuda {
namespace {

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

}  // namespace

Products::Products(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
                   bool deterministic)
    : stream_(stream),
      ops_(ops),
      deterministic_(deterministic),
      hopper_(driver.facts().sm == 90),
      multiprocessors_(std::max(1, driver.facts().multiprocessors)),
      shared_bytes_(driver.facts().shared_bytes),
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

Status Products::run_wide(const MatmulArgs& args) {
  const Activations x = activations(args);
  const std::int64_t width = up(x.cols, kWideColumns) * kWideColumns;
  BUNDLE_CHECK(
      planes_.reserve(static_cast<std::size_t>(parts_ * x.rows * width) * sizeof(std::uint16_t)));
  WideArgs wide{};
  wide.product = args;
  auto* planes = reinterpret_cast<std::uint16_t*>(planes_.data());
  wide.x = planes;
  wide.x_rows = x.rows;
  wide.x_width = width;
  wide.parts = parts_;
  const WideShape shape = choose_wide(args, parts_, multiprocessors_);
  wide.tile = shape.tile;
  wide.splits = shape.splits;
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
