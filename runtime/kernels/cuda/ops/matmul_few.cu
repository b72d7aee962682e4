// Products of few tokens on tensor cores: a block of threads makes 16 or 32 rows of weights by up
// to 16 tokens. Its warps share the columns: each walks every eighth stage of them, 128 bytes of
// every row, and has the weights and activations of its next stages under way to shared memory that
// is its own, so that no warp waits for another; their sums meet at the end. Weights do not wait
// for the kernel before, which makes x; RMSNorm costs no kernel of its own: its weights multiply x,
// and its factor the sums.
//
// A lane reads 16 neighbouring bytes of a row. Which columns a product of 16 takes does not matter
// as long as weights and activations agree: piece s of every lane's bytes makes one product.
// Activations are cut into two bfloat16 parts (cut.h). A token's sums are added in an order that
// depends on the matrix alone: it gives the same alone and in a crowd.
#include "runtime/kernels/cuda/ops/cut.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/silu.h"
#include "runtime/kernels/cuda/ops/stack.h"
#include "runtime/kernels/cuda/ops/weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kTileRows = 16;   // of weights, a product
constexpr int kTileTokens = 8;  // a product
constexpr int kPad = 4;         // floats behind a staged row of x, against bank conflicts
constexpr int kRowBytes = 128;  // of a row of weights, a stage

/// What a product takes of four columns of two rows, eight apart, and how the sums are scaled.
struct Pieces {
  std::uint32_t high[4];
  std::uint32_t low[4];
};

/// bfloat16 weights as they are.
struct BrainForm {
  using Reading = Reader<WeightKind::kBF16>;
  static constexpr bool kScaled = false;
  static constexpr bool kBothParts = false;
  BUNDLE_DEVICE static void take(const DeviceMatrix&, const Reading::Fragment& upper,
                                 const Reading::Fragment& lower, int piece, Pieces& out) {
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) {
      out.high[2 * i] = upper.words.v[2 * piece + i];
      out.high[2 * i + 1] = lower.words.v[2 * piece + i];
    }
  }
};

/// 8-bit weights, which bfloat16 holds exactly; their scales multiply the sums of a step.
template <WeightKind kKind>
struct ScaledForm {
  using Reading = Reader<kKind>;
  static constexpr bool kScaled = true;
  static constexpr bool kBothParts = false;
  BUNDLE_DEVICE static void take(const DeviceMatrix&, const typename Reading::Fragment& upper,
                                 const typename Reading::Fragment& lower, int piece, Pieces& out) {
    const Words2 a = Reading::brain(upper.words.v[piece]);
    const Words2 b = Reading::brain(lower.words.v[piece]);
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) {
      out.high[2 * i] = a.v[i];
      out.high[2 * i + 1] = b.v[i];
    }
  }
};

/// Half-precision weights, as two parts.
struct HalfForm {
  using Reading = Reader<WeightKind::kF16>;
  static constexpr bool kScaled = false;
  static constexpr bool kBothParts = true;
  BUNDLE_DEVICE static void take(const DeviceMatrix& w, const Reading::Fragment& upper,
                                 const Reading::Fragment& lower, int piece, Pieces& out) {
    const Floats4 a = Reading::widen(w, upper, piece);
    const Floats4 b = Reading::widen(w, lower, piece);
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Cut of_a = cut(a.v[2 * i], a.v[2 * i + 1]);
      const Cut of_b = cut(b.v[2 * i], b.v[2 * i + 1]);
      out.high[2 * i] = of_a.high;
      out.high[2 * i + 1] = of_b.high;
      out.low[2 * i] = of_a.low;
      out.low[2 * i + 1] = of_b.low;
    }
  }
};

/// Tokens whose activations are staged.
constexpr int staged_tokens(const MatmulArgs& a, int most) {
  if (a.stack.chosen != nullptr) return 1;
  if (a.stack.tiles != nullptr) return kRowsTile;
  return a.tokens < most ? static_cast<int>(a.tokens) : most;
}

template <typename Form, int kM, int kN>
struct Few {
  using R = typename Form::Reading;
  static constexpr int kStage = kRowBytes / 16 * R::kColumns;  // columns
  static constexpr int kSteps = kRowBytes / 64;                // of 4 · R::kColumns, in a stage
  /// Under way: as shared memory has room for, with all tokens and the norm.
  static constexpr int kStages = kM == 1                    ? (Form::kScaled ? 4 : 5)
                                 : Form::kScaled && kN == 2 ? 2
                                                            : 3;
  static constexpr int kStride = kStage + kPad;  // floats of a staged row of x
  static constexpr int kChunks = kStage / 4;     // of 16 bytes, of such a row
  static constexpr int kRows = kM * kTileRows;
  static constexpr int kWarpBytes = kRows * kRowBytes;  // of weights, a stage
  static constexpr int kWeightBytes = kWarps * kStages * kWarpBytes;
  static constexpr int kWeightCopies = kWarpBytes / 16 / kWarp;
  static constexpr int kSums = kM * kN * 4;  // of a lane
  static constexpr int kCopies = (kTileTokens * kN * kChunks + kWarp - 1) / kWarp;

  const MatmulArgs& a;
  Share share;
  int tokens;  // staged
  int stages;  // of the matrix
  float scales[kM][2];
  float sums[kM][kN][4] = {};
  float squares[kN] = {};

  /// Row of the matrix that row r of the block is.
  BUNDLE_DEVICE int row(int r) const {
    if (!a.gated) return block_x() * kRows + r;
    const int width = share.rows / 2;
    const int gate = block_x() * (kRows / 2) + r / kTileRows * 8 + r % 8;
    return r % kTileRows / 8 * width + (gate < width ? gate : width - 1);
  }
  static constexpr std::size_t slot_floats(const MatmulArgs& a) {
    return static_cast<std::size_t>(staged_tokens(a, kTileTokens * kN) +
                                    (a.norm != nullptr ? 1 : 0)) *
           kStride;
  }
  BUNDLE_DEVICE Shared<float> slot(int depth) const {
    return Shared<float>(kWeightBytes +
                         sizeof(float) * slot_floats(a) *
                             static_cast<std::size_t>(warp_index() * kStages + depth));
  }
  BUNDLE_DEVICE Shared<std::uint32_t> weights(int depth) const {
    return Shared<std::uint32_t>(
        static_cast<std::size_t>((warp_index() * kStages + depth) * kWarpBytes));
  }
  /// Word where a piece of 16 bytes of a row lies: odd rows change halves, so that two rows that
  /// are read at once use different banks.
  BUNDLE_DEVICE static int piece_at(int r, int piece) {
    return r * (kRowBytes / 4) + (piece ^ (r % 2 * 4)) * 4;
  }
  BUNDLE_DEVICE int stage_of(int i) const { return i * kWarps + warp_index(); }

  BUNDLE_DEVICE void load_weights(int i, int depth,
                                  const std::int64_t (&from)[kWeightCopies]) const {
    if (stage_of(i) >= stages) return;
    using Stored = std::uint8_t;
    const Global<const Stored> data(static_cast<const Stored*>(a.w.data));
    constexpr int kEach = 16 / R::kColumns;  // bytes of a weight
    const Shared<std::uint32_t> to = weights(depth);
    const int piece = lane_index() % (kRowBytes / 16);
    const int col = stage_of(i) * kStage + piece * R::kColumns;
    BUNDLE_UNROLL
    for (int c = 0; c < kWeightCopies; ++c) {
      const int r = c * (kWarp * 16 / kRowBytes) + lane_index() / (kRowBytes / 16);
      if (col < a.w.stride) {
        copy_async(to, piece_at(r, piece), data, from[c] + col * kEach);
      } else {
        to.template store<Words4>(piece_at(r, piece), Words4{});
      }
    }
  }

  /// Where this lane's rows of weights start, in bytes.
  BUNDLE_DEVICE void find_weights(std::int64_t (&from)[kWeightCopies]) const {
    constexpr int kEach = 16 / R::kColumns;
    BUNDLE_UNROLL
    for (int c = 0; c < kWeightCopies; ++c) {
      const int r = c * (kWarp * 16 / kRowBytes) + lane_index() / (kRowBytes / 16);
      from[c] = share.row(row(r)) * a.w.stride * kEach;
    }
  }

  /// 16 bytes of a row of x or of the norm; zeros past its end.
  BUNDLE_DEVICE void copy(const float* from, int col, Shared<float> to, int at) const {
    if (col < a.w.cols) {
      copy_async(to, at, Global<const float>(from), col);
    } else {
      to.template store<Floats4>(at, Floats4{});
    }
  }
  BUNDLE_DEVICE void load_tokens(int i, int depth, const std::int64_t (&from)[kCopies]) const {
    const Shared<float> to = slot(depth);
    const int first = stage_of(i) * kStage;
    if (stage_of(i) < stages) {
      BUNDLE_UNROLL
      for (int c = 0; c < kCopies; ++c) {
        const int chunk = c * kWarp + lane_index();
        const int token = chunk / kChunks;
        const int col = chunk % kChunks * 4;
        if (token < share.count) copy(a.x + from[c], first + col, to, token * kStride + col);
      }
      if (a.norm != nullptr && lane_index() < kChunks) {
        const int col = lane_index() * 4;
        copy(a.norm, first + col, to, tokens * kStride + col);
      }
    }
    commit_copies();
  }

  /// Of a stage's columns, which lie in one block of 128.
  BUNDLE_DEVICE void load_scales(int i) {
    if constexpr (Form::kScaled) {
      if (stage_of(i) >= stages) return;
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        BUNDLE_UNROLL
        for (int half = 0; half < 2; ++half) {
          const int r = m * kTileRows + half * 8 + lane_index() / 4;
          scales[m][half] = block_scale(a.w, share.row(row(r)), stage_of(i) * kStage);
        }
      }
    }
  }

  /// Four columns of token tile n, multiplied by the norm's weights and cut.
  BUNDLE_DEVICE void take_tokens(Shared<float> x, int n, int col, std::uint32_t (&high)[2],
                                 std::uint32_t (&low)[2]) {
    const int token = n * kTileTokens + lane_index() / 4;
    Floats4 v{};
    if (token < share.count) {
      v = x.template load<Floats4>(token * kStride + col);
      if (a.norm != nullptr) {
        const auto norm = x.template load<Floats4>(tokens * kStride + col);
        BUNDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          squares[n] = fused(v.v[i], v.v[i], squares[n]);
          v.v[i] *= norm.v[i];
        }
      }
    }
    const Cut first = cut(v.v[0], v.v[1]);
    const Cut second = cut(v.v[2], v.v[3]);
    high[0] = first.high;
    high[1] = second.high;
    low[0] = first.low;
    low[1] = second.low;
  }

  BUNDLE_DEVICE typename R::Fragment fragment(Shared<std::uint32_t> w, int m, int half,
                                              int step) const {
    const int r = m * kTileRows + half * 8 + lane_index() / 4;
    typename R::Fragment out{};
    out.words = w.template load<Words4>(piece_at(r, step * 4 + lane_index() % 4));
    return out;
  }

  /// sums += the stage's columns of weights times x; with scales, they are of `part`.
  BUNDLE_DEVICE void multiply(Shared<std::uint32_t> w, Shared<float> x, float (&to)[kM][kN][4]) {
    BUNDLE_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      typename R::Fragment rows[kM][2];
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        rows[m][0] = fragment(w, m, 0, step);
        rows[m][1] = fragment(w, m, 1, step);
      }
      BUNDLE_UNROLL
      for (int piece = 0; piece < R::kColumns / 4; ++piece) {
        std::uint32_t high[kN][2], low[kN][2];
        const int col = (step * 4 + lane_index() % 4) * R::kColumns + 4 * piece;
        BUNDLE_UNROLL
        for (int n = 0; n < kN; ++n) take_tokens(x, n, col, high[n], low[n]);
        BUNDLE_UNROLL
        for (int m = 0; m < kM; ++m) {
          Pieces pieces;
          Form::take(a.w, rows[m][0], rows[m][1], piece, pieces);
          BUNDLE_UNROLL
          for (int n = 0; n < kN; ++n) {
            mma_bf16(to[m][n], pieces.high, high[n]);
            mma_bf16(to[m][n], pieces.high, low[n]);
            if constexpr (Form::kBothParts) mma_bf16(to[m][n], pieces.low, high[n]);
          }
        }
      }
    }
  }

  BUNDLE_DEVICE void multiply_stage(int depth, const float (&scale)[kM][2]) {
    if constexpr (!Form::kScaled) return multiply(weights(depth), slot(depth), sums);
    float part[kM][kN][4] = {};
    multiply(weights(depth), slot(depth), part);
    BUNDLE_UNROLL
    for (int m = 0; m < kM; ++m) {
      BUNDLE_UNROLL
      for (int n = 0; n < kN; ++n) {
        BUNDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          sums[m][n][i] = fused(part[m][n][i], scale[m][i / 2], sums[m][n][i]);
        }
      }
    }
  }

  BUNDLE_DEVICE void run() {
    std::int64_t weights_from[kWeightCopies];
    find_weights(weights_from);
    BUNDLE_UNROLL
    for (int d = 0; d < kStages; ++d) load_weights(d, d, weights_from);
    load_scales(0);
    wait_for_previous();
    std::int64_t tokens_from[kCopies];
    BUNDLE_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      const int token = (c * kWarp + lane_index()) / kChunks;
      tokens_from[c] = token < share.count ? share.x_at(a, token) : 0;
    }
    BUNDLE_UNROLL
    for (int d = 0; d < kStages; ++d) load_tokens(d, d, tokens_from);
    const int mine = (stages - warp_index() + kWarps - 1) / kWarps;
    int depth = 0;
    for (int i = 0; i < mine; ++i) {
      float scale[kM][2];
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        scale[m][0] = scales[m][0];
        scale[m][1] = scales[m][1];
      }
      load_scales(i + 1);
      wait_copies<kStages - 1>();
      sync_warp();
      multiply_stage(depth, scale);
      sync_warp();
      load_weights(i + kStages, depth, weights_from);
      load_tokens(i + kStages, depth, tokens_from);
      depth = depth + 1 < kStages ? depth + 1 : 0;
    }
  }

  /// Puts the warps' sums where all threads can read them: (kWarps, kSums, kWarp), and squares
  /// (kWarps, tokens of all tiles) behind.
  BUNDLE_DEVICE void share_sums(Shared<float> room, Shared<float> of_squares) {
    wait_copies<0>();
    sync_block();  // what was staged is no longer needed
    BUNDLE_UNROLL
    for (int m = 0; m < kM; ++m) {
      BUNDLE_UNROLL
      for (int n = 0; n < kN; ++n) {
        BUNDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int at = (warp_index() * kSums + (m * kN + n) * 4 + i) * kWarp + lane_index();
          room.put(at, sums[m][n][i]);
        }
      }
    }
    BUNDLE_UNROLL
    for (int n = 0; n < kN; ++n) {
      const float sum = sum_lanes<4>(squares[n]);
      if (lane_index() % 4 == 0) {
        of_squares.put((warp_index() * kN + n) * kTileTokens + lane_index() / 4, sum);
      }
    }
    sync_block();
  }
};

/// Sum `index` of all warps.
template <int kSums>
BUNDLE_DEVICE float whole_sum(Shared<float> room, int index) {
  float sum = 0.0f;
  BUNDLE_UNROLL
  for (int warp = 0; warp < kWarps; ++warp) sum += room[warp * kSums * kWarp + index];
  return sum;
}

/// Sums of the block times the norm's factor, with the bias: to y, or through the gate.
template <int kM, int kN>
BUNDLE_DEVICE void write_few(const MatmulArgs& a, const Share& share, Shared<float> room,
                             Shared<float> of_squares) {
  constexpr int kSums = kM * kN * 4;
  const Global<float> y(a.y);
  const Global<const float> bias(a.bias);
  const int width = share.rows / 2;
  for (int o = thread_index(); o < kSums * kWarp; o += kWarps * kWarp) {
    const int lane = o % kWarp;
    const int i = o / kWarp % 4;
    const int n = o / (4 * kWarp) % kN;
    const int m = o / (4 * kWarp * kN);
    const int token = n * kTileTokens + lane % 4 * 2 + i % 2;
    const int tile = block_x() * kM + m;
    const int row = a.gated ? tile * 8 + lane / 4 : tile * kTileRows + lane / 4 + i / 2 * 8;
    if (token >= share.count || row >= (a.gated ? width : share.rows)) continue;
    if (a.gated && i >= 2) continue;
    float factor = 1.0f;
    if (a.norm != nullptr) {
      float sum = 0.0f;
      for (int warp = 0; warp < kWarps; ++warp) {
        sum += of_squares[warp * kN * kTileTokens + token];
      }
      factor = rsqrt_fast(sum / static_cast<float>(a.w.cols) + a.eps);
    }
    float value = whole_sum<kSums>(room, o) * factor;
    if (a.bias != nullptr) value += bias[row];
    const std::int64_t at = share.y_at(a, token) + row;
    if (!a.gated) {
      y.put(at, a.accumulate ? y[at] + value : value);
      continue;
    }
    float other = whole_sum<kSums>(room, o + 2 * kWarp) * factor;
    if (a.bias != nullptr) other += bias[width + row];
    y.put(at, silu(value) * other);
  }
}

/// Blocks that share a multiprocessor.
template <int kM, int kN>
constexpr int kBlocks = kM == 1 && kN == 1 ? 2 : 1;

template <typename Form, int kM, int kN>
BUNDLE_KERNEL(kWarps* kWarp, (kBlocks<kM, kN>))
multiply_few(const MatmulArgs a) {
  using Work = Few<Form, kM, kN>;
  allow_next();
  const Share share = Share::of(a, kTileTokens * kN, block_y());
  if (share.count == 0) return;
  Work work{a,
            share,
            staged_tokens(a, kTileTokens * kN),
            static_cast<int>((a.w.stride + Work::kStage - 1) / Work::kStage),
            {}};
  work.run();
  const Shared<float> room(0);
  const Shared<float> of_squares(sizeof(float) * kWarps * Work::kSums * kWarp);
  work.share_sums(room, of_squares);
  write_few<kM, kN>(a, share, room, of_squares);
}

template <typename Form, int kM, int kN>
void launch_few(Stream stream, const MatmulArgs& a) {
  using Work = Few<Form, kM, kN>;
  LaunchGrid grid;
  const std::int64_t rows = a.w.rows / a.stack.count / (a.gated ? 2 : 1);
  const std::int64_t each = (a.gated ? 8 : kTileRows) * kM;
  grid.x = static_cast<unsigned>((rows + each - 1) / each);
  set_grid(a, kTileTokens * kN, grid);
  grid.threads = kWarps * kWarp;
  // The warps' sums meet where weights were.
  static_assert(sizeof(float) * kWarps * (Work::kSums * kWarp + kN * kTileTokens) <=
                Work::kWeightBytes);
  static_assert(Work::kWeightBytes + 4 * kWarps * Work::kStages * Work::kStride *
                                         (kM == 1 ? 3 : kTileTokens * kN + 1) <=
                227 * 1024);
  grid.shared_bytes =
      Work::kWeightBytes + sizeof(float) * kWarps * Work::kStages * Work::slot_floats(a);
  launch(stream, "multiply_few", multiply_few<Form, kM, kN>, grid, a);
}

template <typename Form>
void choose_few(Stream stream, const MatmulArgs& a) {
  const std::int64_t tokens = a.stack.chosen != nullptr  ? 1
                              : a.stack.tiles != nullptr ? kRowsTile
                                                         : a.tokens;
  if (tokens == 1 || (tokens == 2 && !Form::kScaled)) return launch_few<Form, 1, 1>(stream, a);
  if (tokens <= kTileTokens) return launch_few<Form, 2, 1>(stream, a);
  launch_few<Form, 2, 2>(stream, a);
}

}  // namespace

void matmul_few(Stream stream, const MatmulArgs& args) {
  switch (args.w.kind) {
    case WeightKind::kF16:
      return choose_few<HalfForm>(stream, args);
    case WeightKind::kF8:
      return choose_few<ScaledForm<WeightKind::kF8>>(stream, args);
    case WeightKind::kInt8:
      return choose_few<ScaledForm<WeightKind::kInt8>>(stream, args);
    default:
      return choose_few<BrainForm>(stream, args);
  }
}

}  // namespace bundle::kernels::cuda
