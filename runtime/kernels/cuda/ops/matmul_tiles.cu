// Products of many rows on the tensor cores: a block of threads makes 64 weight rows by 64 tokens,
// 32 columns at a time, and the next 32 are under way in registers while these are multiplied.
//
// Tensor cores multiply bfloat16 exactly and add in float. Activations are float, so each is cut
// into two bfloat16 numbers, whose sum is it to 16 bits, and so are weights of other types than
// bfloat16; the products of the parts are added up, but for that of the two small ones. So a token
// gets what it would get from float arithmetic, but for 1 in 2^16, at half or a third of the rate.
// 8-bit floats are exact in bfloat16: their sums over a block of 128 columns are scaled.
#include "runtime/kernels/cuda/ops/cut.h"
#include "runtime/kernels/cuda/ops/stack.h"
#include "runtime/kernels/cuda/ops/weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kTile = kTokensTile;  // weight rows, and tokens
constexpr int kDepth = 32;          // columns at a time
constexpr int kStride = 20;         // words from row to row: 16 of data, 4 against bank conflicts
constexpr int kPlane = kTile * kStride;
constexpr int kScaleColumns = 128;
constexpr int kPairs = kTile * kDepth / 2 / kThreads;  // of activations, a thread

/// Where a thread's weights of one step come from and go to.
template <typename R>
struct WeightStep {
  static constexpr int kLoads = kTile * kDepth / R::kColumns;
  static constexpr int kEach = (kLoads + kThreads - 1) / kThreads;
  typename R::Fragment fragments[kEach];

  BUNDLE_DEVICE static int index(int i) { return i * kThreads + thread_index(); }
  BUNDLE_DEVICE static int row(int i) { return index(i) / (kDepth / R::kColumns); }
  BUNDLE_DEVICE static int col(int i) { return index(i) % (kDepth / R::kColumns) * R::kColumns; }

  BUNDLE_DEVICE void load(const DeviceMatrix& w, const Share& share, int row0, std::int64_t col0) {
    BUNDLE_UNROLL
    for (int i = 0; i < kEach; ++i) {
      if (index(i) >= kLoads) break;
      if (col0 + col(i) < w.stride) {
        fragments[i] = R::load(w, share.row(row0 + row(i)), col0 + col(i));
      }
    }
  }

  /// Rows past the matrix repeat its last; columns past it are zero.
  BUNDLE_DEVICE void store(const DeviceMatrix& w, std::int64_t col0, Shared<std::uint32_t> high,
                           Shared<std::uint32_t> low, bool both) const {
    BUNDLE_UNROLL
    for (int i = 0; i < kEach; ++i) {
      if (index(i) >= kLoads) break;
      const bool inside = col0 + col(i) < w.stride;
      BUNDLE_UNROLL
      for (int piece = 0; piece < R::kColumns / 4; ++piece) {
        Floats4 v{};
        if (inside) v = R::widen(w, fragments[i], piece);
        const int at = row(i) * kStride + (col(i) + piece * 4) / 2;
        const Cut first = cut(v.v[0], v.v[1]);
        const Cut second = cut(v.v[2], v.v[3]);
        high.put(at, first.high);
        high.put(at + 1, second.high);
        if (!both) continue;
        low.put(at, first.low);
        low.put(at + 1, second.low);
      }
    }
  }
};

/// A thread's activations of one step.
struct TokenStep {
  float values[kPairs][2];

  BUNDLE_DEVICE static int token(int i) { return (i * kThreads + thread_index()) / (kDepth / 2); }
  BUNDLE_DEVICE static int pair(int i) { return (i * kThreads + thread_index()) % (kDepth / 2); }

  BUNDLE_DEVICE void load(const MatmulArgs& a, const Share& share, std::int64_t col0) {
    const Global<const float> x(a.x);
    BUNDLE_UNROLL
    for (int i = 0; i < kPairs; ++i) {
      const bool there = token(i) < share.count;
      const std::int64_t from = there ? share.x_at(a, token(i)) : 0;
      BUNDLE_UNROLL
      for (int j = 0; j < 2; ++j) {
        const std::int64_t c = col0 + 2 * pair(i) + j;
        values[i][j] = there && c < a.w.cols ? x[from + c] : 0.0f;
      }
    }
  }

  BUNDLE_DEVICE void store(Shared<std::uint32_t> high, Shared<std::uint32_t> low) const {
    BUNDLE_UNROLL
    for (int i = 0; i < kPairs; ++i) {
      const Cut both = cut(values[i][0], values[i][1]);
      high.put(token(i) * kStride + pair(i), both.high);
      low.put(token(i) * kStride + pair(i), both.low);
    }
  }
};

/// A warp's 32 rows by 32 tokens.
struct Sums {
  float values[2][4][4] = {};
};

BUNDLE_DEVICE void load_rows(Shared<std::uint32_t> plane, int row, int depth,
                             std::uint32_t (&a)[4]) {
  const int at = (row + lane_index() / 4) * kStride + depth / 2 + lane_index() % 4;
  a[0] = plane[at];
  a[1] = plane[at + 8 * kStride];
  a[2] = plane[at + 4];
  a[3] = plane[at + 8 * kStride + 4];
}

BUNDLE_DEVICE void load_tokens(Shared<std::uint32_t> plane, int token, int depth,
                               std::uint32_t (&b)[2]) {
  const int at = (token + lane_index() / 4) * kStride + depth / 2 + lane_index() % 4;
  b[0] = plane[at];
  b[1] = plane[at + 4];
}

/// sums += weights · tokens over the staged columns.
template <bool kBothWeights>
BUNDLE_DEVICE void multiply(Shared<std::uint32_t> planes, int row0, int token0, Sums& sums) {
  const Shared<std::uint32_t> w_low(sizeof(std::uint32_t) * kPlane);
  const Shared<std::uint32_t> x_high(sizeof(std::uint32_t) * 2 * kPlane);
  const Shared<std::uint32_t> x_low(sizeof(std::uint32_t) * 3 * kPlane);
  BUNDLE_UNROLL
  for (int depth = 0; depth < kDepth; depth += 16) {
    std::uint32_t high[4][2], low[4][2];
    BUNDLE_UNROLL
    for (int n = 0; n < 4; ++n) {
      load_tokens(x_high, token0 + n * 8, depth, high[n]);
      load_tokens(x_low, token0 + n * 8, depth, low[n]);
    }
    BUNDLE_UNROLL
    for (int m = 0; m < 2; ++m) {
      std::uint32_t a[4];
      load_rows(planes, row0 + m * 16, depth, a);
      BUNDLE_UNROLL
      for (int n = 0; n < 4; ++n) {
        mma_bf16(sums.values[m][n], a, high[n]);
        mma_bf16(sums.values[m][n], a, low[n]);
      }
      if (!kBothWeights) continue;
      load_rows(w_low, row0 + m * 16, depth, a);
      BUNDLE_UNROLL
      for (int n = 0; n < 4; ++n) mma_bf16(sums.values[m][n], a, high[n]);
    }
  }
}

/// The warp's results: rows from row0 of the matrix, the block's tokens from token0.
BUNDLE_DEVICE void write(const MatmulArgs& a, const Share& share, int row0, int token0,
                         const Sums& sums) {
  const Global<float> y(a.y);
  const Global<const float> bias(a.bias);
  BUNDLE_UNROLL
  for (int m = 0; m < 2; ++m) {
    BUNDLE_UNROLL
    for (int n = 0; n < 4; ++n) {
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = row0 + m * 16 + lane_index() / 4 + i / 2 * 8;
        const int token = token0 + n * 8 + lane_index() % 4 * 2 + i % 2;
        if (row >= share.rows || token >= share.count) continue;
        const std::int64_t at = share.y_at(a, token) + row;
        const float value = sums.values[m][n][i] + (a.bias != nullptr ? bias[row] : 0.0f);
        y.put(at, a.accumulate ? y[at] + value : value);
      }
    }
  }
}

/// How weights become bfloat16: exactly, as two parts each, or exactly with a scale for each 128.
enum class Cutting { kNone, kParts, kScaled };

/// sums += part · scale, and part begins again.
BUNDLE_DEVICE void add_scaled(Sums& sums, Sums& part, float scale) {
  BUNDLE_UNROLL
  for (int m = 0; m < 2; ++m) {
    BUNDLE_UNROLL
    for (int n = 0; n < 4; ++n) {
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        sums.values[m][n][i] = fused(part.values[m][n][i], scale, sums.values[m][n][i]);
        part.values[m][n][i] = 0.0f;
      }
    }
  }
}

/// Blocks that share a multiprocessor: one fewer where a thread holds float weights under way.
template <typename R>
constexpr int kBlocks = R::kColumns == 4 ? 2 : 3;

template <typename R, Cutting kCutting>
BUNDLE_KERNEL(kThreads, kBlocks<R>)
multiply_tiles(const MatmulArgs a) {
  constexpr bool kBothWeights = kCutting == Cutting::kParts;
  constexpr bool kScaled = kCutting == Cutting::kScaled;
  const Shared<std::uint32_t> w_high(0);
  const Shared<std::uint32_t> w_low(sizeof(std::uint32_t) * kPlane);
  const Shared<std::uint32_t> x_high(sizeof(std::uint32_t) * 2 * kPlane);
  const Shared<std::uint32_t> x_low(sizeof(std::uint32_t) * 3 * kPlane);
  const int row0 = block_x() * kTile;
  const Share share = Share::of(a, kTile, block_y());
  if (share.count == 0) return;
  const int warp_row = warp_index() / 2 * 32;
  const int warp_token = warp_index() % 2 * 32;
  WeightStep<R> weights;
  weights.load(a.w, share, row0, 0);
  wait_for_previous();
  TokenStep tokens;
  tokens.load(a, share, 0);
  Sums sums, part;
  for (std::int64_t col = 0; col < a.w.stride; col += kDepth) {
    sync_block();
    weights.store(a.w, col, w_high, w_low, kBothWeights);
    tokens.store(x_high, x_low);
    sync_block();
    if (col + kDepth < a.w.stride) {
      weights.load(a.w, share, row0, col + kDepth);
      tokens.load(a, share, col + kDepth);
    }
    multiply<kBothWeights>(w_high, warp_row, warp_token, kScaled ? part : sums);
    if (kScaled && (col % kScaleColumns == kScaleColumns - kDepth || col + kDepth >= a.w.stride)) {
      add_scaled(sums, part, block_scale(a.w, share.row(row0), col));
    }
  }
  allow_next();
  write(a, share, row0 + warp_row, warp_token, sums);
}

/// Blocks of threads whose rows all have one scale.
bool scaled_together(const MatmulArgs& a) {
  const std::int64_t rows = a.w.rows / a.stack.count;
  return a.w.block_of_row == nullptr && (a.stack.count == 1 || rows % 128 == 0);
}

}  // namespace

void matmul_tiles(Stream stream, const MatmulArgs& args) {
  if (args.tokens == 0 || args.w.rows == 0) return;
  const std::int64_t rows = args.w.rows / args.stack.count;
  LaunchGrid grid{.x = static_cast<unsigned>((rows + kTile - 1) / kTile),
                  .threads = kThreads,
                  .shared_bytes = sizeof(std::uint32_t) * 4 * kPlane};
  set_grid(args, kTile, grid);
  if (args.w.kind == WeightKind::kBF16) {
    using Brain = Reader<WeightKind::kBF16>;
    return launch(stream, "multiply_tiles", multiply_tiles<Brain, Cutting::kNone>, grid, args);
  }
  if (args.w.kind == WeightKind::kF8 && scaled_together(args)) {
    return launch(stream, "multiply_tiles", multiply_tiles<UnscaledReader, Cutting::kScaled>, grid,
                  args);
  }
  with_reader(args.w.kind, [&](auto reader) {
    launch(stream, "multiply_tiles", multiply_tiles<decltype(reader), Cutting::kParts>, grid, args);
  });
}

}  // namespace bundle::kernels::cuda
