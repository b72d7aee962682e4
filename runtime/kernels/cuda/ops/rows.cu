// Row-wise steps between the products: embedding, RMSNorm, gated activation, choice of rows, sums
// of what several ranks have.
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/silu.h"
#include "runtime/kernels/cuda/ops/weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

template <typename R>
BUNDLE_KERNEL(kThreads, 1)
embed_rows(const EmbedArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t packs = (a.table.cols + R::kColumns - 1) / R::kColumns;
  const std::int64_t index = std::int64_t{block_x()} * kThreads + thread_index();
  if (index >= a.rows * packs) return;
  const std::int64_t row = index / packs;
  const std::int64_t col = index % packs * R::kColumns;
  const std::int64_t from = Global<const std::int32_t>(a.ids)[row] - a.first_row;
  if (from < 0 || from >= a.table.rows) return;
  const auto fragment = R::load(a.table, from, col);
  const Global<float> out(a.out);
  BUNDLE_UNROLL
  for (int piece = 0; piece < R::kColumns / 4; ++piece) {
    const Floats4 values = R::widen(a.table, fragment, piece);
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at = col + piece * 4 + i;
      if (at < a.table.cols) out.put(row * a.table.cols + at, values.v[i]);
    }
  }
}

BUNDLE_KERNEL(kThreads, 1)
rms_norm_rows(const RmsNormArgs a) {
  allow_next();
  wait_for_previous();
  const Global<const float> x(a.x + block_x() * a.cols);
  const Global<const float> weight(a.weight);
  const Global<float> out(a.out + block_x() * (a.out_stride == 0 ? a.cols : a.out_stride));
  float squares = 0.0f;
  for (std::int64_t c = thread_index(); c < a.cols; c += kThreads) {
    squares = fused(x[c], x[c], squares);
  }
  const float sum = sum_block(squares, Shared<float>(0));
  const float factor = rsqrt_fast(sum / static_cast<float>(a.cols) + a.eps);
  for (std::int64_t c = thread_index(); c < a.cols; c += kThreads) {
    out.put(c, x[c] * factor * weight[c]);
  }
}

BUNDLE_KERNEL(kThreads, 1)
silu_mul_rows(const SiluMulArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t index = std::int64_t{block_x()} * kThreads + thread_index();
  if (index >= a.rows * a.cols) return;
  const std::int64_t row = index / a.cols;
  const Global<const float> in(a.gate_up);
  const float gate = in[index + row * a.cols];
  const float up = in[index + (row + 1) * a.cols];
  Global<float>(a.out).put(index, silu(gate) * up);
}

BUNDLE_KERNEL(kThreads, 1)
gather_each(const GatherArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t index = std::int64_t{block_x()} * kThreads + thread_index();
  if (index >= a.rows * a.cols) return;
  const std::int64_t from = Global<const std::int64_t>(a.from)[index / a.cols];
  Global<float>(a.out).put(index, Global<const float>(a.x)[from * a.cols + index % a.cols]);
}

BUNDLE_KERNEL(kThreads, 1)
blank_each(const BlankArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t index = std::int64_t{block_x()} * kThreads + thread_index();
  if (index >= a.rows * a.cols) return;
  const std::int64_t row = Global<const std::int64_t>(a.which)[index / a.cols];
  Global<float>(a.out).put(row * a.stride + index % a.cols, 0.0f);
}

/// Four neighbours a thread where the length allows it.
template <int kEach>
BUNDLE_KERNEL(kThreads, 1)
add_each(const AddPartsArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t at = (std::int64_t{block_x()} * kThreads + thread_index()) * kEach;
  if (at >= a.count) return;
  const Global<const float> parts(a.parts);
  float sums[kEach] = {};
  for (int part = 0; part < a.number; ++part) {
    const std::int64_t from = part * a.count + at;
    if constexpr (kEach == 4) {
      const auto values = parts.template load<Floats4>(from);
      BUNDLE_UNROLL
      for (int i = 0; i < kEach; ++i) sums[i] = part == 0 ? values.v[i] : sums[i] + values.v[i];
    } else {
      sums[0] = part == 0 ? parts[from] : sums[0] + parts[from];
    }
  }
  const Global<float> out(a.out);
  BUNDLE_UNROLL
  for (int i = 0; i < kEach; ++i) out.put(at + i, sums[i]);
}

}  // namespace

void embed(Stream stream, const EmbedArgs& args) {
  with_reader(args.table.kind, [&](auto reader) {
    using R = decltype(reader);
    const std::int64_t packs = (args.table.cols + R::kColumns - 1) / R::kColumns;
    const LaunchGrid grid{.x = blocks_for(args.rows * packs), .threads = kThreads};
    if (grid.x > 0) launch(stream, "embed_rows", embed_rows<R>, grid, args);
  });
}

void rms_norm(Stream stream, const RmsNormArgs& args) {
  const LaunchGrid grid{.x = static_cast<unsigned>(args.rows),
                        .threads = kThreads,
                        .shared_bytes = kThreads / kWarp * sizeof(float)};
  if (grid.x > 0) launch(stream, "rms_norm_rows", rms_norm_rows, grid, args);
}

void silu_mul(Stream stream, const SiluMulArgs& args) {
  const LaunchGrid grid{.x = blocks_for(args.rows * args.cols), .threads = kThreads};
  if (grid.x > 0) launch(stream, "silu_mul_rows", silu_mul_rows, grid, args);
}

void gather(Stream stream, const GatherArgs& args) {
  const LaunchGrid grid{.x = blocks_for(args.rows * args.cols), .threads = kThreads};
  if (grid.x > 0) launch(stream, "gather_each", gather_each, grid, args);
}

void add_parts(Stream stream, const AddPartsArgs& args) {
  const bool four = args.count % 4 == 0 && reinterpret_cast<std::uintptr_t>(args.parts) % 16 == 0;
  const std::int64_t each = four ? 4 : 1;
  const LaunchGrid grid{.x = blocks_for((args.count + each - 1) / each), .threads = kThreads};
  if (grid.x > 0) launch(stream, "add_each", four ? add_each<4> : add_each<1>, grid, args);
}

void blank(Stream stream, const BlankArgs& args) {
  const LaunchGrid grid{.x = blocks_for(args.rows * args.cols), .threads = kThreads};
  if (grid.x > 0) launch(stream, "blank_each", blank_each, grid, args);
}

}  // namespace bundle::kernels::cuda
