// Products of many tokens on Hopper's tensor cores: a block of threads makes 128 rows of weights by
// up to 256 tokens, 64 columns at a time. Weights and tokens come to shared memory some steps
// ahead, and the tensor cores read them there (group_product) while the threads fetch the next
// ones: two groups of four warps, 64 rows each. Activations are bfloat16 beforehand (cut_rows): in
// one part, as other engines keep them, or in two, which lie within 2^-16 of float.
//
// 8-bit weights come as bytes and are widened in registers, which group_product takes too; their
// scales multiply the sums of 128 columns. Their lanes read four neighbouring bytes, so the tokens'
// columns change places in each 16 (`permuted`).
//
// Where the rows are too few for all multiprocessors, the columns are cut into splits, whose sums
// meet in a second kernel.
#include "runtime/kernels/cuda/ops/cut.h"
#include "runtime/kernels/cuda/ops/stack.h"
#include "runtime/kernels/cuda/ops/weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = 128;       // of weights, a block
constexpr int kGroupRows = 64;   // of four warps
constexpr int kScaleSteps = 2;   // that share a scale: 128 columns
constexpr int kByteStride = 80;  // bytes of a row of 64 8-bit weights, and pad
constexpr int kWeightBytes = kRows * kPlaneRowBytes;
constexpr int kRoomStride = kRows + 4;  // floats of a token's sums, and pad
constexpr int kMostShared = 200 * 1024;
constexpr int kMostStages = 6;

/// Stages of shared memory: for one block a multiprocessor, or two where its tile is small.
template <int kPlaneRows>
constexpr int stage_bytes() {
  return kWeightBytes + kPlaneRows * kPlaneRowBytes;
}
template <int kPlaneRows>
constexpr int stage_count() {
  const int room = kPlaneRows <= 64 ? kMostShared / 2 : kMostShared;
  const int fit = room / stage_bytes<kPlaneRows>();
  return fit < kMostStages ? fit : kMostStages;
}

/// bfloat16 weights, read by the tensor cores where they lie.
struct BrainRows {
  static constexpr bool kBytes = false;
  static constexpr int kPiece = 8;  // weights in 16 bytes
  using Stored = std::uint16_t;
};
/// 8-bit weights, widened to bfloat16 in registers.
template <WeightKind kKind>
struct ByteRows {
  static constexpr bool kBytes = true;
  static constexpr int kPiece = 16;
  using Stored = std::uint8_t;
  BUNDLE_DEVICE static Words2 widen(std::uint32_t word) { return Reader<kKind>::brain(word); }
};

/// A block's work. kN tokens in kParts planes.
template <typename Rows, int kN, int kParts>
struct Wide {
  static constexpr int kPlaneRows = kN * kParts;
  static constexpr int kStages = stage_count<kPlaneRows>();
  static constexpr int kAhead = kStages - 2;  // steps under way
  static constexpr int kStage = stage_bytes<kPlaneRows>();
  static constexpr int kPieces = kPlaneColumns / Rows::kPiece;  // of a row of weights, a step
  static constexpr int kWeightCopies = kRows * kPieces / kThreads;
  static constexpr int kTokenCopies =
      kPlaneRows * 8 / kThreads == 0 ? 1 : kPlaneRows * 8 / kThreads;
  static constexpr int kSums = kN / 2;
  static_assert(kStages >= 3 && kStages * kStage >= kN * kRoomStride * 4);

  const WideArgs& a;
  Share share;
  int row0;  // of the block
  // Where this thread's pieces come from, in pieces.
  std::uint32_t weights_at[kWeightCopies] = {};
  std::uint32_t tokens_at[kTokenCopies] = {};
  float sums[kSums] = {};
  float part[Rows::kBytes ? kSums : 1] = {};

  BUNDLE_DEVICE static int index(int i) { return i * kThreads + thread_index(); }
  BUNDLE_DEVICE static Shared<std::uint32_t> weights(int stage) {
    return Shared<std::uint32_t>(static_cast<std::size_t>(stage * kStage));
  }
  BUNDLE_DEVICE static Shared<std::uint32_t> tokens(int stage, int plane) {
    return Shared<std::uint32_t>(
        static_cast<std::size_t>(stage * kStage + kWeightBytes + plane * kN * kPlaneRowBytes));
  }

  BUNDLE_DEVICE void find_weights() {
    BUNDLE_UNROLL
    for (int i = 0; i < kWeightCopies; ++i) {
      const std::int64_t row = share.row(row0 + index(i) / kPieces);
      weights_at[i] = static_cast<std::uint32_t>(row * a.product.w.stride / Rows::kPiece);
    }
  }
  BUNDLE_DEVICE void find_tokens() {
    const bool experts = Share::of_experts(a.product);
    BUNDLE_UNROLL
    for (int i = 0; i < kTokenCopies; ++i) {
      const int token = index(i) / 8 % kN;
      if (token >= share.count) continue;
      const std::int64_t row =
          experts ? share.token(a.product, token) / a.product.stack.share : share.first + token;
      const std::int64_t col = experts ? 0 : share.matrix * a.product.stack.x_step;
      const std::int64_t plane = index(i) / (8 * kN);
      tokens_at[i] = static_cast<std::uint32_t>(((plane * a.x_rows + row) * a.x_width + col) / 8);
    }
  }

  BUNDLE_DEVICE void copy_weights(int step) const {
    using Stored = typename Rows::Stored;
    const Global<const Stored> from(static_cast<const Stored*>(a.product.w.data));
    const int stage = step % kStages;
    BUNDLE_UNROLL
    for (int i = 0; i < kWeightCopies; ++i) {
      const int row = index(i) / kPieces;
      const int piece = index(i) % kPieces;
      const int col = step * kPlaneColumns + piece * Rows::kPiece;
      const int at =
          Rows::kBytes ? row * (kByteStride / 4) + piece * 4 : 4 * plane_piece(row, piece);
      if (col < a.product.w.stride) {
        copy_async(weights(stage), at, from, std::int64_t{weights_at[i]} * Rows::kPiece + col);
      } else {
        zero_async(weights(stage), at, from);
      }
    }
  }
  BUNDLE_DEVICE void copy_tokens(int step) const {
    const Global<const std::uint16_t> from(a.x);
    const int stage = step % kStages;
    BUNDLE_UNROLL
    for (int i = 0; i < kTokenCopies; ++i) {
      const int row = index(i) / 8;  // of all planes
      const int piece = index(i) % 8;
      if (row >= kPlaneRows) continue;
      const int col = step * kPlaneColumns + piece * 8;
      const int at = 4 * plane_piece(row, piece);
      const int first = Rows::kBytes ? col / 16 * 16 : col;  // the lowest that is permuted to here
      if (row % kN < share.count && first < a.product.w.cols) {
        copy_async(tokens(stage, 0), at, from, std::int64_t{tokens_at[i]} * 8 + col);
      } else {
        zero_async(tokens(stage, 0), at, from);
      }
    }
  }

  BUNDLE_DEVICE int group() const { return warp_index() / 4; }

  BUNDLE_DEVICE void multiply_brain(int stage, bool add) {
    const Shared<std::uint32_t> mine(
        static_cast<std::size_t>(stage * kStage + group() * kGroupRows * kPlaneRowBytes));
    begin_products();
    BUNDLE_UNROLL
    for (int step = 0; step < kPlaneColumns / 16; ++step) {
      BUNDLE_UNROLL
      for (int plane = 0; plane < kParts; ++plane) {
        group_product<kN>(sums, mine, tokens(stage, plane), step, add || step + plane > 0);
      }
    }
    commit_products();
  }

  BUNDLE_DEVICE void multiply_bytes(int stage, bool add) {
    if constexpr (Rows::kBytes) {
      std::uint32_t registers[kPlaneColumns / 16][4];
      const int row = group() * kGroupRows + warp_index() % 4 * 16 + lane_index() / 4;
      BUNDLE_UNROLL
      for (int step = 0; step < kPlaneColumns / 16; ++step) {
        BUNDLE_UNROLL
        for (int half = 0; half < 2; ++half) {
          const int at = (row + 8 * half) * (kByteStride / 4) + step * 4 + lane_index() % 4;
          const Words2 wide = Rows::widen(weights(stage)[at]);
          registers[step][half] = wide.v[0];
          registers[step][2 + half] = wide.v[1];
        }
      }
      begin_products();
      BUNDLE_UNROLL
      for (int step = 0; step < kPlaneColumns / 16; ++step) {
        BUNDLE_UNROLL
        for (int plane = 0; plane < kParts; ++plane) {
          group_product<kN>(part, registers[step], tokens(stage, plane), step,
                            add || step + plane > 0);
        }
      }
      commit_products();
    }
  }

  /// sums += part · the scales of the lane's two rows.
  BUNDLE_DEVICE void add_part(const float (&scales)[2]) {
    if constexpr (Rows::kBytes) {
      BUNDLE_UNROLL
      for (int i = 0; i < kSums; ++i) sums[i] = fused(part[i], scales[i / 2 % 2], sums[i]);
    }
  }

  BUNDLE_DEVICE int lane_row(int half) const {
    return row0 + group() * kGroupRows + warp_index() % 4 * 16 + lane_index() / 4 + 8 * half;
  }
  BUNDLE_DEVICE void load_scales(int step, float (&scales)[2]) const {
    BUNDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      scales[half] =
          block_scale(a.product.w, share.row(lane_row(half)), std::int64_t{step} * kPlaneColumns);
    }
  }

  BUNDLE_DEVICE void start_weights(int from, int to) const {
    for (int step = from; step < from + kAhead && step < to; ++step) copy_weights(step);
  }

  /// One step of those up to `to`, whose tiles were copied some steps ago.
  template <bool kFirst>
  BUNDLE_DEVICE void take(int step, int to, float (&scales)[2]) {
    const bool begins = kFirst || step % kScaleSteps == 0;
    if (Rows::kBytes && begins) load_scales(step, scales);
    wait_copies<kAhead - 1>();
    sync_block();
    if constexpr (Rows::kBytes) {
      multiply_bytes(step % kStages, !begins);
    } else {
      multiply_brain(step % kStages, !kFirst);
    }
    if (step + kAhead < to) {
      copy_weights(step + kAhead);
      copy_tokens(step + kAhead);
    }
    commit_copies();
    if constexpr (Rows::kBytes) {
      wait_products<0>();
      if (step % kScaleSteps == kScaleSteps - 1 || step + 1 == to) add_part(scales);
    } else {
      wait_products<1>();
    }
  }

  BUNDLE_DEVICE void run(int from, int to) {
    for (int step = from; step < from + kAhead; ++step) {
      if (step < to) copy_tokens(step);
      commit_copies();
    }
    float scales[2] = {};
    // The first apart: sums that come from products alone stay where the tensor cores have them.
    if (from < to) take<true>(from, to, scales);
    for (int step = from + 1; step < to; ++step) take<false>(step, to, scales);
    wait_products<0>();
    wait_copies<0>();
  }

  /// Sums go through shared memory: a loop that writes whole rows is short, where the same for each
  /// of a lane's sums would be thousands of instructions that run once.
  BUNDLE_DEVICE void write() const {
    const Shared<float> room(0);  // (kN, kRoomStride)
    sync_block();                 // nobody reads the last stages any more
    BUNDLE_UNROLL
    for (int i = 0; i < kSums; ++i) {
      const int token = i / 4 * 8 + lane_index() % 4 * 2 + i % 2;
      room.put(token * kRoomStride + lane_row(i / 2 % 2) - row0, sums[i]);
    }
    sync_block();
    for (int token = warp_index(); token < share.count; token += kThreads / kWarp) {
      write_token(token, room);
    }
  }

  BUNDLE_DEVICE void write_token(int token, Shared<float> room) const {
    const MatmulArgs& p = a.product;
    const Global<const float> bias(p.bias);
    const std::int64_t at = a.splits > 1 ? (block_z() * p.tokens + share.first + token) * share.rows
                                         : share.y_at(p, token);
    const Global<float> to((a.splits > 1 ? a.partial : p.y) + at);
    const bool last = a.splits == 1;  // else another kernel adds the rest
    for (int i = lane_index(); i < kRows && row0 + i < share.rows; i += kWarp) {
      float value = room[token * kRoomStride + i];
      if (last && p.bias != nullptr) value += bias[row0 + i];
      to.put(row0 + i, last && p.accumulate ? to[row0 + i] + value : value);
    }
  }
};

template <int kPlaneRows>
constexpr int kBlocks = kPlaneRows <= 64 ? 2 : 1;

template <typename Rows, int kN, int kParts>
BUNDLE_KERNEL(kThreads, (kBlocks<kN * kParts>))
multiply_wide(const WideArgs a) {
  using Work = Wide<Rows, kN, kParts>;
  allow_next();
  Share share = Share::of(a.product, kN, block_x());
  if (a.splits > 1) share.matrix = 0;
  if (share.count == 0) return;
  Work work{a, share, block_y() * kRows};
  const auto steps = static_cast<int>((a.product.w.stride + kPlaneColumns - 1) / kPlaneColumns);
  // Splits begin where scales do.
  const int scaled = (steps + kScaleSteps - 1) / kScaleSteps;
  const int each = (scaled + a.splits - 1) / a.splits * kScaleSteps;
  const int split = a.splits > 1 ? block_z() : 0;
  const int from = split * each < steps ? split * each : steps;
  const int to = from + each < steps ? from + each : steps;
  work.find_weights();
  work.start_weights(from, to);
  wait_for_previous();
  work.find_tokens();
  work.run(from, to);
  work.write();
}

constexpr int kSumThreads = 256;

/// y = the splits' sums, in their order.
BUNDLE_KERNEL(kSumThreads, 1)
sum_splits(const WideArgs a) {
  allow_next();
  wait_for_previous();
  const MatmulArgs& p = a.product;
  const std::int64_t index = std::int64_t{block_x()} * kSumThreads + thread_index();
  if (index >= p.tokens * p.w.rows) return;
  const std::int64_t row = index % p.w.rows;
  const Global<const float> partial(a.partial);
  float value = p.bias != nullptr ? Global<const float>(p.bias)[row] : 0.0f;
  for (int split = 0; split < a.splits; ++split) {
    value += partial[split * p.tokens * p.w.rows + index];
  }
  const Global<float> y(p.y);
  const std::int64_t at = index / p.w.rows * p.y_stride + row;
  y.put(at, p.accumulate ? y[at] + value : value);
}

template <typename Rows, int kN, int kParts>
void launch_wide(Stream stream, const WideArgs& a) {
  using Work = Wide<Rows, kN, kParts>;
  const MatmulArgs& p = a.product;
  LaunchGrid grid;
  set_grid(p, kN, grid);
  grid.x = grid.y;
  grid.y = static_cast<unsigned>((p.w.rows / p.stack.count + kRows - 1) / kRows);
  if (a.splits > 1) grid.z = static_cast<unsigned>(a.splits);
  grid.threads = kThreads;
  grid.shared_bytes = static_cast<std::size_t>(Work::kStages) * Work::kStage;
  launch(stream, "multiply_wide", multiply_wide<Rows, kN, kParts>, grid, a);
  if (a.splits == 1) return;
  const auto sums = static_cast<std::uint64_t>(p.tokens * p.w.rows);
  launch(
      stream, "sum_splits", sum_splits,
      {.x = static_cast<unsigned>((sums + kSumThreads - 1) / kSumThreads), .threads = kSumThreads},
      a);
}

template <typename Rows, int kN>
void choose_parts(Stream stream, const WideArgs& a) {
  if (a.parts == 2) return launch_wide<Rows, kN, 2>(stream, a);
  launch_wide<Rows, kN, 1>(stream, a);
}

template <typename Rows>
void choose_tokens(Stream stream, const WideArgs& a) {
  if (a.tile == 32) return choose_parts<Rows, 32>(stream, a);
  if (a.tile == 64) return choose_parts<Rows, 64>(stream, a);
  if constexpr (!Rows::kBytes) {
    if (a.tile == 256) return launch_wide<Rows, 256, 1>(stream, a);
  }
  choose_parts<Rows, 128>(stream, a);
}

constexpr int kCutThreads = 256;

/// Two neighbouring columns of x a thread, in bfloat16.
BUNDLE_KERNEL(kCutThreads, 1)
cut_pairs(const CutRowsArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t row = block_x();
  const Global<const float> x(a.x + row * a.x_stride);
  const Global<std::uint32_t> out(reinterpret_cast<std::uint32_t*>(a.out));
  const std::int64_t pairs = a.width / 2;
  for (std::int64_t pair = block_y() * kCutThreads + thread_index(); pair < pairs;
       pair += std::int64_t{kCutThreads} * a.column_blocks) {
    const std::int64_t in_group = pair % 8;
    const std::int64_t from =
        a.permuted ? pair - in_group + (in_group < 4 ? 2 * in_group : 2 * in_group - 7) : pair;
    float v[2];
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) v[i] = 2 * from + i < a.cols ? x[2 * from + i] : 0.0f;
    const Cut both = cut(v[0], v[1]);
    out.put(row * pairs + pair, both.high);
    if (a.parts == 2) out.put((a.rows + row) * pairs + pair, both.low);
  }
}

}  // namespace

void cut_rows(Stream stream, const CutRowsArgs& args) {
  if (args.rows == 0) return;
  CutRowsArgs a = args;
  a.column_blocks = static_cast<int>((a.width / 2 + kCutThreads - 1) / kCutThreads);
  launch(stream, "cut_pairs", cut_pairs,
         {.x = static_cast<unsigned>(a.rows),
          .y = static_cast<unsigned>(a.column_blocks),
          .threads = kCutThreads},
         a);
}

void matmul_wide(Stream stream, const WideArgs& args) {
  if (args.product.tokens == 0 || args.product.w.rows == 0) return;
  switch (args.product.w.kind) {
    case WeightKind::kF8:
      return choose_tokens<ByteRows<WeightKind::kF8>>(stream, args);
    case WeightKind::kInt8:
      return choose_tokens<ByteRows<WeightKind::kInt8>>(stream, args);
    default:
      return choose_tokens<BrainRows>(stream, args);
  }
}

}  // namespace bundle::kernels::cuda
