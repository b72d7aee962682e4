// Products of few rows: a warp walks two rows of weights, its lanes side by side, and keeps a sum
// for each of up to eight tokens. The weights are read once, 16 bytes a lane, and the next 1024
// columns are under way while these are used; they do not wait for the kernel before, which makes
// x. RMSNorm is done while x is staged in shared memory, so that it costs no kernel of its own.
//
// A lane adds up its columns in ascending order and the lanes' sums meet in a tree, for any number
// of tokens: a token gives the same alone and in a crowd.
#include "runtime/kernels/cuda/ops/reduce.h"
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
BUNDLE_DEVICE float token_factor(const MatmulArgs& a, std::int64_t token, Shared<float> room) {
  if (a.norm == nullptr) return 1.0f;
  const Global<const float> x(a.x);
  float squares = 0.0f;
  if (token < a.tokens) {
    for (std::int64_t c = thread_index(); c < a.w.cols; c += block_threads()) {
      const float value = x[token * a.w.cols + c];
      squares = fused(value, value, squares);
    }
  }
  return rsqrt_fast(sum_block(squares, room) / static_cast<float>(a.w.cols) + a.eps);
}

/// Stages columns [first, first + kChunk) of the tokens, normalized.
template <int kTokens>
BUNDLE_DEVICE void stage(const MatmulArgs& a, std::int64_t token0, std::int64_t first,
                         const float (&factors)[kTokens], Shared<float> staged) {
  const Global<const float> x(a.x);
  const Global<const float> norm(a.norm);
  for (int c = thread_index(); c < kChunk<kTokens> && first + c < a.w.stride;
       c += block_threads()) {
    const std::int64_t col = first + c;
    const bool inside = col < a.w.cols;
    const float weight = a.norm != nullptr && inside ? norm[col] : 1.0f;
    BUNDLE_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      float value = 0.0f;
      if (inside && token0 + t < a.tokens) {
        value = x[(token0 + t) * a.w.cols + col] * factors[t] * weight;
      }
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
                            int at, Shared<float> staged, float (&sums)[kRows][kTokens]) {
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
          for (int i = 0; i < 4; ++i) sums[r][t] = fused(weights[r].v[i], x.v[i], sums[r][t]);
        }
      }
    }
  }
}

template <int kTokens>
BUNDLE_DEVICE void write_sums(const MatmulArgs& a, std::int64_t row0, std::int64_t token0,
                              const float (&sums)[kRows][kTokens]) {
  const Global<float> y(a.y);
  const Global<const float> bias(a.bias);
  BUNDLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    BUNDLE_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      float value = sum_lanes(sums[r][t]);
      const std::int64_t row = row0 + r;
      if (lane_index() != r * kTokens + t || row >= a.w.rows || token0 + t >= a.tokens) continue;
      const std::int64_t at = (token0 + t) * a.y_stride + row;
      if (a.bias != nullptr) value += bias[row];
      y.put(at, a.accumulate ? y[at] + value : value);
    }
  }
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
  const std::int64_t row0 = (std::int64_t{block_x()} * kWarps + warp_index()) * kRows;
  const std::int64_t token0 = std::int64_t{block_y()} * kTokens;
  std::int64_t rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = row0 + r < a.w.rows ? row0 + r : a.w.rows - 1;

  Pending<R> now;
  now.load(a.w, rows, 0);
  wait_for_previous();
  float factors[kTokens];
  BUNDLE_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    factors[t] = token_factor(a, token0 + t, Shared<float>(kRoom + t * kWarps * sizeof(float)));
  }
  float sums[kRows][kTokens] = {};
  const std::int64_t groups = (a.w.stride + kGroup - 1) / kGroup;
  for (std::int64_t group = 0; group < groups; ++group) {
    const int in_chunk = static_cast<int>(group % kGroupsAChunk);
    if (in_chunk == 0) {
      sync_block();
      stage<kTokens>(a, token0, group * kGroup, factors, staged);
      sync_block();
    }
    Pending<R> next = now;
    if (group + 1 < groups) next.load(a.w, rows, group + 1);
    multiply<R, kTokens>(a.w, now, group, in_chunk * kGroup, staged, sums);
    now = next;
  }
  allow_next();
  write_sums<kTokens>(a, row0, token0, sums);
}

template <typename R, int kTokens>
void launch_rows(Stream stream, const MatmulArgs& a) {
  LaunchGrid grid;
  grid.x = static_cast<unsigned>((a.w.rows + kWarps * kRows - 1) / (kWarps * kRows));
  grid.y = static_cast<unsigned>((a.tokens + kTokens - 1) / kTokens);
  grid.threads = kWarps * kWarp;
  grid.shared_bytes = sizeof(float) * kTokens * (kStagedFloats<kTokens> + kWarps);
  launch(stream, "multiply_rows", multiply_rows<R, kTokens>, grid, a);
}

}  // namespace

void matmul(Stream stream, const MatmulArgs& args) {
  if (args.tokens == 0 || args.w.rows == 0) return;
  with_reader(args.w.kind, [&](auto reader) {
    using R = decltype(reader);
    if (args.tokens == 1) return launch_rows<R, 1>(stream, args);
    if (args.tokens == 2) return launch_rows<R, 2>(stream, args);
    if (args.tokens <= 4) return launch_rows<R, 4>(stream, args);
    launch_rows<R, kMaxTokens>(stream, args);
  });
}

}  // namespace bundle::kernels::cuda
