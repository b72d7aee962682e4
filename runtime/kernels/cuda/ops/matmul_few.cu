// Products of few tokens on tensor cores: a block of threads makes 16 or 32 rows of weights by up
// to 16 tokens. Its warps share the columns: each walks every eighth stage of them, 128 bytes of
// every row, and has the weights and activations of its next stages under way to shared memory that
// is its own, so that no warp waits for another; their sums meet at the end. Weights do not wait
// for the kernel before, which makes x; RMSNorm costs no kernel of its own: its weights multiply x,
// and its factor the sums.
//
// Where a matrix is a few stages wide (an expert's way down, of which one of eight GPUs has 256
// columns) most warps would have none: there each makes rows of its own by all columns, and adds
// its stages as the warps' sums are added elsewhere, so that results are the same to the bit.
//
// Matrices of eight rows by 16 bytes come from shared memory as tensor cores take them (ldmatrix).
// Which columns a product of 16 takes does not matter as long as weights and activations agree: of
// 8 bits a lane has four neighbours, of 16 bits two pairs, eight columns apart. Activations are cut
// into two bfloat16 parts (cut.h): by the lanes that multiply them, or, where there is one token
// alone, by all lanes of the warp beforehand, since the lanes of seven absent tokens would only
// watch. A token's sums, those of its squares too, are added in an order that depends on the matrix
// alone: it gives the same alone and in a crowd.
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
constexpr int kPad = 8;         // floats behind a staged row of x, against bank conflicts
constexpr int kRowBytes = 128;  // of a row of weights, a stage

/// What a product takes of 16 columns of 16 rows. `low` where weights are two parts.
struct Pieces {
  std::uint32_t high[4];
  std::uint32_t low[4];
};

/// bfloat16 weights as they are.
struct BrainForm {
  using Reading = Reader<WeightKind::kBF16>;
  static constexpr bool kScaled = false;
  static constexpr bool kBothParts = false;
  BUNDLE_DEVICE static void take(const std::uint32_t (&words)[4], int, Pieces& out) {
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) out.high[i] = words[i];
  }
};

/// 8-bit weights, which bfloat16 holds exactly; their scales multiply the sums of a stage.
template <WeightKind kKind>
struct ScaledForm {
  using Reading = Reader<kKind>;
  static constexpr bool kScaled = true;
  static constexpr bool kBothParts = false;
  BUNDLE_DEVICE static void take(const std::uint32_t (&words)[4], int product, Pieces& out) {
    const Words2 upper = Reading::brain(words[2 * product]);
    const Words2 lower = Reading::brain(words[2 * product + 1]);
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) {
      out.high[2 * i] = upper.v[i];
      out.high[2 * i + 1] = lower.v[i];
    }
  }
};

/// Half-precision weights, as two parts.
struct HalfForm {
  using Reading = Reader<WeightKind::kF16>;
  static constexpr bool kScaled = false;
  static constexpr bool kBothParts = true;
  BUNDLE_DEVICE static void take(const std::uint32_t (&words)[4], int, Pieces& out) {
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Cut parts = cut(half_float(static_cast<std::uint16_t>(words[i])),
                            half_float(static_cast<std::uint16_t>(words[i] >> 16)));
      out.high[i] = parts.high;
      out.low[i] = parts.low;
    }
  }
};

/// Tokens whose activations are staged.
constexpr int staged_tokens(const MatmulArgs& a, int most) {
  if (a.stack.chosen != nullptr) return 1;
  if (a.stack.tiles != nullptr) return kRowsTile;
  return a.tokens < most ? static_cast<int>(a.tokens) : most;
}

/// How a block goes about it: kM tiles of rows by kN tiles of tokens. kSingle: by one token.
/// kNarrow: a warp, not the block, has all columns of its row tiles.
template <int kTilesOfRows, int kTilesOfTokens, bool kOneToken, bool kFewColumns>
struct Shape {
  static constexpr int kM = kTilesOfRows;
  static constexpr int kN = kTilesOfTokens;
  static constexpr bool kSingle = kOneToken;
  static constexpr bool kNarrow = kFewColumns;
};

template <typename Form, typename Plan>
struct Few {
  static constexpr int kM = Plan::kM;
  static constexpr int kN = Plan::kN;
  static constexpr bool kSingle = Plan::kSingle;
  static constexpr bool kNarrow = Plan::kNarrow;
  using R = typename Form::Reading;
  static constexpr int kStage = kRowBytes / 16 * R::kColumns;  // columns
  static constexpr int kSteps = kRowBytes / 32;                // of four matrices a row tile
  static constexpr int kProducts = R::kColumns / 8;            // of 16 columns, in a step
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
  static constexpr int kMostTokens = kSingle ? 1 : kTileTokens * kN;
  static constexpr int kCopies = (kMostTokens * kChunks + kWarp - 1) / kWarp;
  static constexpr std::int64_t kEach = 16 / R::kColumns;         // bytes of a weight
  static constexpr int kApart = (kNarrow ? 1 : kWarps) * kStage;  // columns between a warp's stages

  const MatmulArgs& a;
  Share share;
  int tokens;      // staged
  int cols;        // of a row of weights, with what fills it up
  int slot_bytes;  // of a stage of x
  int slots;       // where this warp's begin
  float scales[kM][2];
  float sums[kM][kN][4] = {};
  /// Of a lane's columns of each product of a stage; a single token's lane has one product's.
  float squares[kN][kSteps * kProducts] = {};

  /// First row tiles' number, in units of kM tiles: the warp's where it is narrow, else the
  /// block's.
  BUNDLE_DEVICE static int place() {
    return kNarrow ? block_x() * kWarps + warp_index() : block_x();
  }
  /// Row of the matrix that row r of the warp or block is.
  BUNDLE_DEVICE int row(int r) const {
    if (kNarrow || !a.gated) return place() * kRows + r;
    const int width = share.rows / 2;
    const int gate = block_x() * (kRows / 2) + r / kTileRows * 8 + r % 8;
    return r % kTileRows / 8 * width + (gate < width ? gate : width - 1);
  }
  static constexpr std::size_t slot_floats(const MatmulArgs& a) {
    return static_cast<std::size_t>(staged_tokens(a, kMostTokens) + (a.norm != nullptr ? 1 : 0)) *
           kStride;
  }
  BUNDLE_DEVICE std::size_t slot_at(int depth) const {
    const int at = slots + depth * slot_bytes;
    return static_cast<std::size_t>(at);
  }
  BUNDLE_DEVICE Shared<float> slot(int depth) const { return Shared<float>(slot_at(depth)); }
  /// The slot once its token is cut.
  BUNDLE_DEVICE Shared<std::uint32_t> cut_slot(int depth) const {
    return Shared<std::uint32_t>(slot_at(depth));
  }
  BUNDLE_DEVICE Shared<std::uint32_t> weights(int depth) const {
    return Shared<std::uint32_t>(
        static_cast<std::size_t>((warp_index() * kStages + depth) * kWarpBytes));
  }
  /// Word where a piece of 16 bytes of a row lies: the same piece of eight rows, which is read at
  /// once, uses all banks.
  BUNDLE_DEVICE static int piece_at(int r, int piece) {
    return r * (kRowBytes / 4) + (piece ^ r % 8) * 4;
  }

  /// Starts the copies of this warp's next stage of weights, whose first column is `first`, and
  /// goes on to the one behind; zeros past a row's end.
  BUNDLE_DEVICE void load_weights(int first, int depth, std::int64_t (&from)[kWeightCopies]) const {
    const Global<const std::uint8_t> data(static_cast<const std::uint8_t*>(a.w.data));
    const Shared<std::uint32_t> to = weights(depth);
    const int piece = lane_index() % (kRowBytes / 16);
    const bool there = first + piece * R::kColumns < cols;
    BUNDLE_UNROLL
    for (int c = 0; c < kWeightCopies; ++c) {
      const int r = c * (kWarp * 16 / kRowBytes) + lane_index() / (kRowBytes / 16);
      copy_async_where(to, piece_at(r, piece), data, from[c], there);
      from[c] += kApart * kEach;
    }
  }

  /// Of the warp's first stage.
  BUNDLE_DEVICE static int first_column() { return kNarrow ? 0 : warp_index() * kStage; }

  /// Where this lane's weights start, in bytes.
  BUNDLE_DEVICE void find_weights(std::int64_t (&from)[kWeightCopies]) const {
    const int col = first_column() + lane_index() % (kRowBytes / 16) * R::kColumns;
    BUNDLE_UNROLL
    for (int c = 0; c < kWeightCopies; ++c) {
      const int r = c * (kWarp * 16 / kRowBytes) + lane_index() / (kRowBytes / 16);
      from[c] = (share.row(row(r)) * a.w.stride + col) * kEach;
    }
  }

  /// Starts the copies of a stage of x and of the norm; zeros past their end.
  BUNDLE_DEVICE void load_tokens(int first, int depth, const std::int64_t (&from)[kCopies]) const {
    const Shared<float> to = slot(depth);
    BUNDLE_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      const int chunk = c * kWarp + lane_index();
      const int token = chunk / kChunks;
      const int col = chunk % kChunks * 4;
      if (token >= share.count) continue;
      copy_async_where(to, token * kStride + col, Global<const float>(a.x), from[c] + first + col,
                       first + col < a.w.cols);
    }
    if (a.norm != nullptr && lane_index() < kChunks) {
      const int col = lane_index() * 4;
      copy_async_where(to, tokens * kStride + col, Global<const float>(a.norm), first + col,
                       first + col < a.w.cols);
    }
    commit_copies();
  }

  /// Where the scales of this lane's rows start.
  BUNDLE_DEVICE void find_scales(std::int64_t (&from)[kM][2]) const {
    if constexpr (Form::kScaled) {
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        BUNDLE_UNROLL
        for (int half = 0; half < 2; ++half) {
          const int r = m * kTileRows + half * 8 + lane_index() / 4;
          from[m][half] = scales_at(a.w, share.row(row(r)));
        }
      }
    }
  }
  /// Of a stage's columns, which lie in one block of 128.
  BUNDLE_DEVICE void load_scales(int first, const std::int64_t (&from)[kM][2]) {
    if constexpr (Form::kScaled) {
      if (first >= a.w.cols) return;
      const Global<const float> all(a.w.block_scales);
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        scales[m][0] = all[from[m][0] + first / 128];
        scales[m][1] = all[from[m][1] + first / 128];
      }
    }
  }

  /// Four floats of a staged row: those that lane t of four has in a product.
  BUNDLE_DEVICE static Floats4 lane_columns(Shared<float> x, int row, int product, int t) {
    const int first = row * kStride + product * 16;
    if constexpr (kProducts == 2) return x.template load<Floats4>(first + 4 * t);
    const auto low = x.template load<Floats2>(first + 2 * t);
    const auto high = x.template load<Floats2>(first + 8 + 2 * t);
    return {low.v[0], low.v[1], high.v[0], high.v[1]};
  }
  /// The same of a token, multiplied by the norm's and cut: high parts first. Their squares are
  /// added to `square`.
  BUNDLE_DEVICE Words4 cut_columns(int depth, int token, int product, int t, float& square) const {
    const Shared<float> x = slot(depth);
    Floats4 v = lane_columns(x, token, product, t);
    if (a.norm != nullptr) {
      const Floats4 norm = lane_columns(x, tokens, product, t);
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        square = fused(v.v[i], v.v[i], square);
        v.v[i] *= norm.v[i];
      }
    }
    const Cut first = cut(v.v[0], v.v[1]);
    const Cut second = cut(v.v[2], v.v[3]);
    return {first.high, second.high, first.low, second.low};
  }

  /// Cuts a stage of the single token where it lies: lane l what lane l % 4 takes of product l / 4.
  BUNDLE_DEVICE void cut_token(int depth) {
    if constexpr (kSingle) {
      const bool has_any = lane_index() < kChunks;
      Words4 words{};
      if (has_any) {
        words = cut_columns(depth, 0, lane_index() / 4, lane_index() % 4, squares[0][0]);
      }
      sync_warp();
      if (has_any) cut_slot(depth).template store<Words4>(4 * lane_index(), words);
      sync_warp();
    }
  }

  /// What a lane takes of tile n's tokens for a product.
  BUNDLE_DEVICE Words4 take_tokens(int depth, int n, int product) {
    const int t = lane_index() % 4;
    // All lanes take the single one: what they make of it for absent tokens is nobody's.
    if constexpr (kSingle) return cut_slot(depth).template load<Words4>((product * 4 + t) * 4);
    const int token = n * kTileTokens + lane_index() / 4;
    if (token >= share.count) return {};
    return cut_columns(depth, token, product, t, squares[n][product]);
  }

  /// Rows 0 to 7 and 8 to 15 of row tile m by 16 bytes, then by the next 16.
  BUNDLE_DEVICE void take_weights(std::uint32_t (&to)[4], int depth, int m, int step) const {
    const int r = lane_index() % 16;
    load_matrices(to, weights(depth), piece_at(m * kTileRows + r, 2 * step + lane_index() / 16));
  }

  /// to += the stage's columns of weights times x.
  BUNDLE_DEVICE void multiply(int depth, float (&to)[kM][kN][4]) {
    BUNDLE_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      std::uint32_t rows[kM][4];
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) take_weights(rows[m], depth, m, step);
      BUNDLE_UNROLL
      for (int i = 0; i < kProducts; ++i) {
        Words4 x[kN];
        BUNDLE_UNROLL
        for (int n = 0; n < kN; ++n) x[n] = take_tokens(depth, n, step * kProducts + i);
        BUNDLE_UNROLL
        for (int m = 0; m < kM; ++m) {
          Pieces pieces;
          Form::take(rows[m], i, pieces);
          BUNDLE_UNROLL
          for (int n = 0; n < kN; ++n) {
            const std::uint32_t high[2] = {x[n].v[0], x[n].v[1]};
            const std::uint32_t low[2] = {x[n].v[2], x[n].v[3]};
            mma_bf16(to[m][n], pieces.high, high);
            mma_bf16(to[m][n], pieces.high, low);
            if constexpr (Form::kBothParts) mma_bf16(to[m][n], pieces.low, high);
          }
        }
      }
    }
  }

  /// Adds a stage to the sums. A narrow warp's stages are added as the warps' sums are elsewhere,
  /// each rounded by itself.
  BUNDLE_DEVICE void multiply_stage(int depth, const float (&scale)[kM][2]) {
    if constexpr (!Form::kScaled && !kNarrow) return multiply(depth, sums);
    float part[kM][kN][4] = {};
    multiply(depth, part);
    BUNDLE_UNROLL
    for (int m = 0; m < kM; ++m) {
      BUNDLE_UNROLL
      for (int n = 0; n < kN; ++n) {
        BUNDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          float& sum = sums[m][n][i];
          const float stage = part[m][n][i];
          if constexpr (!kNarrow) {
            sum = fused(stage, scale[m][i / 2], sum);
          } else {
            sum = plus(sum, Form::kScaled ? times(stage, scale[m][i / 2]) : stage);
          }
        }
      }
    }
  }

  BUNDLE_DEVICE void run() {
    const int first = first_column();
    std::int64_t weights_from[kWeightCopies];
    find_weights(weights_from);
    BUNDLE_UNROLL
    for (int d = 0; d < kStages; ++d) load_weights(first + d * kApart, d, weights_from);
    std::int64_t scales_from[kM][2] = {};
    find_scales(scales_from);
    load_scales(first, scales_from);
    wait_for_previous();
    std::int64_t tokens_from[kCopies];
    BUNDLE_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      const int token = (c * kWarp + lane_index()) / kChunks;
      tokens_from[c] = token < share.count ? share.x_at(a, token) : 0;
    }
    BUNDLE_UNROLL
    for (int d = 0; d < kStages; ++d) load_tokens(first + d * kApart, d, tokens_from);
    int depth = 0;
    for (int col = first; col < cols; col += kApart) {
      float scale[kM][2];
      BUNDLE_UNROLL
      for (int m = 0; m < kM; ++m) {
        scale[m][0] = scales[m][0];
        scale[m][1] = scales[m][1];
      }
      load_scales(col + kApart, scales_from);
      wait_copies<kStages - 1>();
      sync_warp();
      cut_token(depth);
      multiply_stage(depth, scale);
      sync_warp();
      load_weights(col + kStages * kApart, depth, weights_from);
      load_tokens(col + kStages * kApart, depth, tokens_from);
      depth = depth + 1 < kStages ? depth + 1 : 0;
    }
    wait_copies<0>();
  }

  /// Writes what a narrow warp has made, with the bias.
  BUNDLE_DEVICE void write_rows() const {
    const Global<float> y(a.y);
    const Global<const float> bias(a.bias);
    BUNDLE_UNROLL
    for (int n = 0; n < kN; ++n) {
      BUNDLE_UNROLL
      for (int odd = 0; odd < 2; ++odd) {
        const int token = n * kTileTokens + lane_index() % 4 * 2 + odd;
        if (token >= share.count) continue;
        const std::int64_t to = share.y_at(a, token);
        BUNDLE_UNROLL
        for (int half = 0; half < 2 * kM; ++half) {
          const int r = place() * kRows + half * 8 + lane_index() / 4;
          if (r >= share.rows) continue;
          float value = sums[half / 2][n][half % 2 * 2 + odd];
          if (a.bias != nullptr) value += bias[r];
          y.put(to + r, a.accumulate ? y[to + r] + value : value);
        }
      }
    }
  }

  /// Sum of a token's squares over the warp, in the order of products, then lanes.
  BUNDLE_DEVICE float square_sum(int n) const {
    constexpr int kAll = kSteps * kProducts;
    if constexpr (kSingle) {
      float sum = squares[0][0];
      BUNDLE_UNROLL
      for (int apart = 1; apart < kAll; apart *= 2) sum += shuffle_xor(sum, 4 * apart);
      return sum_lanes<4>(sum);
    } else {
      float part[kAll];
      BUNDLE_UNROLL
      for (int i = 0; i < kAll; ++i) part[i] = squares[n][i];
      BUNDLE_UNROLL
      for (int apart = 1; apart < kAll; apart *= 2) {
        BUNDLE_UNROLL
        for (int i = 0; i < kAll; i += 2 * apart) part[i] += part[i + apart];
      }
      return sum_lanes<4>(part[0]);
    }
  }

  /// Puts the warps' sums where all threads can read them: (kWarps, kSums, kWarp), and squares
  /// (kWarps, tokens of all tiles) behind.
  BUNDLE_DEVICE void share_sums(Shared<float> room, Shared<float> of_squares) {
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
      const float sum = square_sum(n);
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
template <typename Plan>
constexpr int kBlocks = Plan::kM == 1 && Plan::kN == 1 ? 2 : 1;

template <typename Form, typename Plan>
BUNDLE_KERNEL(kWarps* kWarp, kBlocks<Plan>)
multiply_few(const MatmulArgs a) {
  using Work = Few<Form, Plan>;
  allow_next();
  const Share share = Share::of(a, kTileTokens * Plan::kN, block_y());
  if (share.count == 0) return;
  // Known to the compiler only as numbers: it would count them out again at every use.
  const int slot_bytes = fresh(static_cast<int>(sizeof(float) * Work::slot_floats(a)));
  Work work{a,
            share,
            staged_tokens(a, Work::kMostTokens),
            fresh(static_cast<int>(a.w.stride)),
            slot_bytes,
            Work::kWeightBytes + warp_index() * Work::kStages * slot_bytes,
            {}};
  work.run();
  if constexpr (Plan::kNarrow) {
    work.write_rows();
  } else {
    const Shared<float> room(0);
    const Shared<float> of_squares(sizeof(float) * kWarps * Work::kSums * kWarp);
    work.share_sums(room, of_squares);
    write_few<Plan::kM, Plan::kN>(a, share, room, of_squares);
  }
}

template <typename Form, int kM, int kN, bool kSingle = false, bool kNarrow = false>
void launch_few(Stream stream, const MatmulArgs& a) {
  using Plan = Shape<kM, kN, kSingle, kNarrow>;
  using Work = Few<Form, Plan>;
  LaunchGrid grid;
  const std::int64_t rows = a.w.rows / a.stack.count / (a.gated ? 2 : 1);
  const std::int64_t each = (a.gated ? 8 : kTileRows) * kM * (kNarrow ? kWarps : 1);
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
  launch(stream, "multiply_few", multiply_few<Form, Plan>, grid, a);
}

/// Where more than half of the warps would have no columns.
template <typename Form>
bool is_narrow(const MatmulArgs& a) {
  constexpr int kStage = kRowBytes / 16 * Form::Reading::kColumns;
  return a.w.stride <= kWarps / 2 * kStage && a.norm == nullptr && !a.gated;
}

template <typename Form>
void choose_few(Stream stream, const MatmulArgs& a) {
  const std::int64_t tokens = a.stack.chosen != nullptr  ? 1
                              : a.stack.tiles != nullptr ? kRowsTile
                                                         : a.tokens;
  if (is_narrow<Form>(a)) {
    if (tokens == 1) return launch_few<Form, 1, 1, true, true>(stream, a);
    if (tokens <= kTileTokens) return launch_few<Form, 2, 1, false, true>(stream, a);
  }
  if (tokens == 1) return launch_few<Form, 1, 1, true>(stream, a);
  if (tokens == 2 && !Form::kScaled) return launch_few<Form, 1, 1>(stream, a);
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
