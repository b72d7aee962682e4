// Products of few rows: a warp walks two rows of weights, its lanes side by side, and keeps a sum
// for each of up to eight tokens. The weights are read once, 16 bytes a lane, and the next 1024
// columns are under way while these are used; they do not wait for the kernel before, which makes
// x. RMSNorm is done while x is staged in shared memory, so that it costs no kernel of its own.
//
// A lane adds up its columns in ascending order and the lanes' sums meet in a tree, for any number
// of tokens: a token gives the same alone and in a crowd.
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/stack.h"
#include "runtime/kernels/cuda/ops/weights.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kRows = 2;      // of weights, a warp
constexpr int kGroup = 1024;  // columns that a warp has under way
constexpr int kMaxTokens = 8;

/// Columns of x that are staged at a time.
template <int kTokens>
constexpr int kChunk = kTokens <= 2 ? 4096 : 8192 / kTokens;

/// Four floats more in every 32, so that lanes that read 4, 8, 16 or 32 columns apart use different
/// banks.
BUNDLE_DEVICE int staged_at(int col) { return col + col / 32 * 4; }
template <int kTokens>
constexpr int kStagedFloats = kChunk<kTokens> / 32 * 36;

/// What RMSNorm multiplies a token's activations by.
BUNDLE_DEVICE float token_factor(const MatmulArgs& a, const Share& share, int i,
                                 Shared<float> room) {
  if (a.norm == nullptr) return 1.0f;
  float squares = 0.0f;
  if (i < share.count) {
    const Global<const float> x(a.x + share.x_at(a, i));
    for (std::int64_t c = thread_index(); c < a.w.cols; c += block_threads()) {
      const float value = x[c];
      squares = fused(value, value, squares);
    }
  }
  return rsqrt_fast(sum_block(squares, room) / static_cast<float>(a.w.cols) + a.eps);
}

/// Stages columns [first, first + kChunk) of the tokens, normalized.
template <int kTokens>
BUNDLE_DEVICE void stage(const MatmulArgs& a, const Share& share, std::int64_t first,
                         const float (&factors)[kTokens], Shared<float> staged) {
  const Global<const float> x(a.x);
  const Global<const float> norm(a.norm);
  std::int64_t from[kTokens];
  BUNDLE_UNROLL
  for (int t = 0; t < kTokens; ++t) from[t] = t < share.count ? share.x_at(a, t) : 0;
  for (int c = thread_index(); c < kChunk<kTokens> && first + c < a.w.stride;
       c += block_threads()) {
    const std::int64_t col = first + c;
    const bool inside = col < a.w.cols;
    const float weight = a.norm != nullptr && inside ? norm[col] : 1.0f;
    BUNDLE_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      float value = 0.0f;
      if (inside && t < share.count) value = x[from[t] + col] * factors[t] * weight;
      staged.put(t * kStagedFloats<kTokens> + staged_at(c), value);
    }
  }
}

template <typename R>
struct Pending {
  static constexpr int kSteps = kGroup / (kWarp * R::kColumns);
  typename R::Fragment fragments[kSteps][kRows];

  /// Columns of `group`; those past the row's end stay undefined and unused.
  BUNDLE_DEVICE void load(const DeviceMatrix& w, const std::int64_t (&rows)[kRows],
                          std::int64_t group) {
    BUNDLE_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      const std::int64_t col = group * kGroup + (s * kWarp + lane_index()) * R::kColumns;
      if (col >= w.stride) break;
      BUNDLE_UNROLL
      for (int r = 0; r < kRows; ++r) fragments[s][r] = R::load(w, rows[r], col);
    }
  }
};

/// sums += the group's columns times x; `at` is where the group starts in the staged chunk.
template <typename R, int kTokens>
BUNDLE_DEVICE void multiply(const DeviceMatrix& w, const Pending<R>& pending, std::int64_t group,
                            int at, Shared<float> staged, float (&sums)[kRows * kTokens]) {
  BUNDLE_UNROLL
  for (int s = 0; s < Pending<R>::kSteps; ++s) {
    const int in_group = (s * kWarp + lane_index()) * R::kColumns;
    if (group * kGroup + in_group >= w.stride) break;
    BUNDLE_UNROLL
    for (int piece = 0; piece < R::kColumns / 4; ++piece) {
      Floats4 weights[kRows];
      BUNDLE_UNROLL
      for (int r = 0; r < kRows; ++r) weights[r] = R::widen(w, pending.fragments[s][r], piece);
      BUNDLE_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const auto x = staged.template load<Floats4>(t * kStagedFloats<kTokens> +
                                                     staged_at(at + in_group + piece * 4));
        BUNDLE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          BUNDLE_UNROLL
          for (int i = 0; i < 4; ++i) {
            float& sum = sums[r * kTokens + t];
            sum = fused(weights[r].v[i], x.v[i], sum);
          }
        }
      }
    }
  }
}

/// A few lanes hold each sum, of which the first writes it. `row0` counts in the matrix.
template <int kTokens>
BUNDLE_DEVICE void write_sums(const MatmulArgs& a, const Share& share, int row0,
                              float (&sums)[kRows * kTokens]) {
  constexpr int kLanes = kWarp / (kRows * kTokens);
  const Global<float> y(a.y);
  float value = sum_each(sums);
  const int mine = lane_index() / kLanes;
  const int row = row0 + mine / kTokens;
  const int token = mine % kTokens;
  if (lane_index() % kLanes != 0 || row >= share.rows || token >= share.count) return;
  const std::int64_t at = share.y_at(a, token) + row;
  if (a.bias != nullptr) value += Global<const float>(a.bias)[row];
  y.put(at, a.accumulate ? y[at] + value : value);
}

/// Blocks that share a multiprocessor: one where two would leave a thread too few registers.
template <typename R, int kTokens>
constexpr int kBlocks = kTokens == kMaxTokens || R::kColumns == 4 ? 1 : 2;

template <typename R, int kTokens>
BUNDLE_KERNEL(kWarps* kWarp, (kBlocks<R, kTokens>))
multiply_rows(const MatmulArgs a) {
  constexpr int kGroupsAChunk = kChunk<kTokens> / kGroup;
  const Shared<float> staged(0);
  constexpr std::size_t kRoom = sizeof(float) * kTokens * kStagedFloats<kTokens>;
  const int row0 = (block_x() * kWarps + warp_index()) * kRows;
  const Share share = Share::of(a, kTokens, block_y());
  if (share.count == 0) return;
  std::int64_t rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = share.row(row0 + r);

  Pending<R> now;
  now.load(a.w, rows, 0);
  wait_for_previous();
  float factors[kTokens];
  BUNDLE_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    factors[t] = token_factor(a, share, t, Shared<float>(kRoom + t * kWarps * sizeof(float)));
  }
  float sums[kRows * kTokens] = {};
  const std::int64_t groups = (a.w.stride + kGroup - 1) / kGroup;
  for (std::int64_t group = 0; group < groups; ++group) {
    const int in_chunk = static_cast<int>(group % kGroupsAChunk);
    if (in_chunk == 0) {
      sync_block();
      stage<kTokens>(a, share, group * kGroup, factors, staged);
      sync_block();
    }
    Pending<R> next = now;
    if (group + 1 < groups) next.load(a.w, rows, group + 1);
    multiply<R, kTokens>(a.w, now, group, in_chunk * kGroup, staged, sums);
    now = next;
  }
  allow_next();
  write_sums<kTokens>(a, share, row0, sums);
}

template <typename R, int kTokens>
void launch_rows(Stream stream, const MatmulArgs& a) {
  LaunchGrid grid;
  const std::int64_t rows = a.w.rows / a.stack.count;
  grid.x = static_cast<unsigned>((rows + kWarps * kRows - 1) / (kWarps * kRows));
  set_grid(a, kTokens, grid);
  grid.threads = kWarps * kWarp;
  grid.shared_bytes = sizeof(float) * kTokens * (kStagedFloats<kTokens> + kWarps);
  launch(stream, "multiply_rows", multiply_rows<R, kTokens>, grid, a);
}

}  // namespace

void matmul(Stream stream, const MatmulArgs& args) {
  if (args.tokens == 0 || args.w.rows == 0) return;
  if (multiplies_few(args, shared_limit())) return matmul_few(stream, args);
  with_reader(args.w.kind, [&](auto reader) {
    using R = decltype(reader);
    if (args.stack.chosen != nullptr) return launch_rows<R, 1>(stream, args);
    if (args.stack.tiles != nullptr) return launch_rows<R, kRowsTile>(stream, args);
    if (args.tokens == 1) return launch_rows<R, 1>(stream, args);
    if (args.tokens == 2) return launch_rows<R, 2>(stream, args);
    if (args.tokens <= 4) return launch_rows<R, 4>(stream, args);
    launch_rows<R, kMaxTokens>(stream, args);
  });
}

}  // namespace bundle::kernels::cuda
