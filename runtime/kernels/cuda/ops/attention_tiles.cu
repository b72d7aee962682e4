// Attention of prompts on the tensor cores: a block of threads takes up to 64 rows of one sequence,
// counting each query head of a group that shares keys as a row, and walks the cached positions 32
// at a time (flash attention): scores of a tile, a running softmax, and the weighted values.
//
// As in matmul_tiles.cu, numbers that bfloat16 does not hold exactly are cut into two parts:
// queries and weights of the softmax always, keys and values where the cache is not of bfloat16.
// Tiles begin at multiples of 32 positions, and one that a row may not see adds exact zeros to it,
// so a row depends on its own sequence alone.
#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/cut.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPositions = 32;    // a tile
constexpr int kValueStride = 20;  // words: 16 pairs of positions, 4 against bank conflicts

/// Where things lie in shared memory, in words, for heads of kDim elements.
template <int kDim>
struct Layout {
  static constexpr int kStride = kDim / 2 + 4;
  static constexpr int kQuery = kAttentionTileRows * kStride;
  static constexpr int kKey = kPositions * kStride;
  static constexpr int kValue = kDim * kValueStride;

  static constexpr int query(int part) { return part * kQuery; }
  static constexpr int key(int part) { return 2 * kQuery + part * kKey; }
  static constexpr int value(int part) { return 2 * kQuery + 2 * kKey + part * kValue; }
  static constexpr std::size_t kBytes =
      sizeof(std::uint32_t) * (2 * kQuery + 2 * kKey + 2 * kValue);
};

BUNDLE_DEVICE Shared<std::uint32_t> plane(int first_word) {
  return Shared<std::uint32_t>(sizeof(std::uint32_t) * static_cast<std::size_t>(first_word));
}

/// One block's rows: of the tile's tokens times the group's query heads, those from `base` on.
struct Rows {
  AttentionTile tile;
  int group;
  int kv_head;
  int base;

  BUNDLE_DEVICE int count() const {
    const int left = tile.rows * group - base;
    return left < kAttentionTileRows ? left : kAttentionTileRows;
  }
  BUNDLE_DEVICE int token(int i) const { return (base + i) / group; }
  BUNDLE_DEVICE int position(int i) const { return tile.position + token(i); }
  BUNDLE_DEVICE std::int64_t batch_row(int i) const { return tile.first_row + token(i); }
  BUNDLE_DEVICE int head(int i) const { return kv_head * group + (base + i) % group; }
};

template <typename Element, int kDim>
struct Prompt {
  static constexpr bool kBothParts = !Element::kBrain;  // of keys and values
  using At = Layout<kDim>;

  const AttentionTilesArgs& a;
  Rows rows;
  float top[2] = {kNothing, kNothing};  // of the lane's two rows
  float sum[2] = {};
  float out[kDim / 8][4] = {};

  BUNDLE_DEVICE int first_row() const { return warp_index() * 16 + lane_index() / 4; }

  BUNDLE_DEVICE void stage_queries() const {
    const Global<const float> q(a.qkv);
    for (int i = thread_index(); i < kAttentionTileRows * kDim / 2; i += kThreads) {
      const int row = i / (kDim / 2);
      const int col = i % (kDim / 2) * 2;
      float pair[2] = {};
      BUNDLE_UNROLL
      for (int j = 0; j < 2; ++j) {
        if (row >= rows.count() || col + j >= a.cache.head_dim) continue;
        const std::int64_t at = rows.batch_row(row) * a.qkv_stride +
                                std::int64_t{rows.head(row)} * a.cache.head_dim + col + j;
        pair[j] = q[at] * a.scale;
      }
      const Cut both = cut(pair[0], pair[1]);
      plane(At::query(0)).put(row * At::kStride + col / 2, both.high);
      plane(At::query(1)).put(row * At::kStride + col / 2, both.low);
    }
  }

  /// Eight elements of a key or value; zeros where there are none.
  BUNDLE_DEVICE void load(int position, int end, int col, bool value, float (&to)[8]) const {
    BUNDLE_UNROLL
    for (int i = 0; i < 8; ++i) to[i] = 0.0f;
    if (position >= end || col >= a.cache.stride) return;
    const std::int64_t at =
        cache_index(a.cache, a.map, rows.tile.table, position, rows.kv_head, value);
    const auto loaded = Element::load(a.cache, at + col);
    BUNDLE_UNROLL
    for (int i = 0; i < 8; ++i) to[i] = Element::widen(loaded, i);
  }

  BUNDLE_DEVICE void stage_keys(int start, int end) const {
    for (int i = thread_index(); i < kPositions * kDim / 8; i += kThreads) {
      const int p = i / (kDim / 8);
      const int col = i % (kDim / 8) * 8;
      float key[8];
      load(start + p, end, col, false, key);
      BUNDLE_UNROLL
      for (int j = 0; j < 8; j += 2) {
        const Cut both = cut(key[j], key[j + 1]);
        plane(At::key(0)).put(p * At::kStride + (col + j) / 2, both.high);
        if (kBothParts) plane(At::key(1)).put(p * At::kStride + (col + j) / 2, both.low);
      }
    }
  }

  /// Transposed: a word holds one element of two neighbouring positions.
  BUNDLE_DEVICE void stage_values(int start, int end) const {
    for (int i = thread_index(); i < kPositions / 2 * kDim / 8; i += kThreads) {
      const int pair = i % (kPositions / 2);
      const int col = i / (kPositions / 2) * 8;
      float first[8], second[8];
      load(start + 2 * pair, end, col, true, first);
      load(start + 2 * pair + 1, end, col, true, second);
      BUNDLE_UNROLL
      for (int j = 0; j < 8; ++j) {
        const Cut both = cut(first[j], second[j]);
        plane(At::value(0)).put((col + j) * kValueStride + pair, both.high);
        if (kBothParts) plane(At::value(1)).put((col + j) * kValueStride + pair, both.low);
      }
    }
  }

  /// scores (16 rows of the warp, 32 positions) = queries · keys.
  BUNDLE_DEVICE void score(float (&scores)[4][4]) const {
    const int lane = lane_index();
    BUNDLE_UNROLL
    for (int depth = 0; depth < kDim; depth += 16) {
      std::uint32_t q[2][4];
      BUNDLE_UNROLL
      for (int part = 0; part < 2; ++part) {
        const int at = first_row() * At::kStride + depth / 2 + lane % 4;
        const Shared<std::uint32_t> from = plane(At::query(part));
        q[part][0] = from[at];
        q[part][1] = from[at + 8 * At::kStride];
        q[part][2] = from[at + 4];
        q[part][3] = from[at + 8 * At::kStride + 4];
      }
      BUNDLE_UNROLL
      for (int n = 0; n < 4; ++n) {
        const int at = (n * 8 + lane / 4) * At::kStride + depth / 2 + lane % 4;
        std::uint32_t k[2] = {plane(At::key(0))[at], plane(At::key(0))[at + 4]};
        mma_bf16(scores[n], q[0], k);
        mma_bf16(scores[n], q[1], k);
        if (!kBothParts) continue;
        k[0] = plane(At::key(1))[at];
        k[1] = plane(At::key(1))[at + 4];
        mma_bf16(scores[n], q[0], k);
      }
    }
  }

  /// Turns scores into weights, and scales what was summed up to the new largest score.
  BUNDLE_DEVICE void soften(int start, float (&scores)[4][4]) {
    BUNDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int position = rows.position(first_row() + 8 * half);
      const int first =
          a.window > 0 && position >= a.window ? position + 1 - static_cast<int>(a.window) : 0;
      float highest = top[half];
      BUNDLE_UNROLL
      for (int i = 0; i < 8; ++i) {
        float& score = scores[i / 2][half * 2 + i % 2];
        const int p = start + i / 2 * 8 + lane_index() % 4 * 2 + i % 2;
        if (p > position || p < first) score = kNothing;
        highest = largest(highest, score);
      }
      highest = largest(highest, shuffle_xor(highest, 1));
      highest = largest(highest, shuffle_xor(highest, 2));
      const float keep = exp_fast(top[half] - highest);
      float added = 0.0f;
      BUNDLE_UNROLL
      for (int i = 0; i < 8; ++i) {
        float& score = scores[i / 2][half * 2 + i % 2];
        score = score == kNothing ? 0.0f : exp_fast(score - highest);
        added += score;
      }
      sum[half] = fused(sum[half], keep, sum_lanes<4>(added));
      top[half] = highest;
      BUNDLE_UNROLL
      for (int n = 0; n < kDim / 8; ++n) {
        out[n][half * 2] *= keep;
        out[n][half * 2 + 1] *= keep;
      }
    }
  }

  /// out += weights · values. A product's result lies where the next one's left side is read.
  BUNDLE_DEVICE void add_values(const float (&weights)[4][4]) {
    const int lane = lane_index();
    BUNDLE_UNROLL
    for (int depth = 0; depth < kPositions; depth += 16) {
      std::uint32_t high[4], low[4];
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float(&from)[4] = weights[depth / 8 + i / 2];
        const Cut both = cut(from[i % 2 * 2], from[i % 2 * 2 + 1]);
        high[i] = both.high;
        low[i] = both.low;
      }
      BUNDLE_UNROLL
      for (int n = 0; n < kDim / 8; ++n) {
        const int at = (n * 8 + lane / 4) * kValueStride + depth / 2 + lane % 4;
        std::uint32_t v[2] = {plane(At::value(0))[at], plane(At::value(0))[at + 4]};
        mma_bf16(out[n], high, v);
        mma_bf16(out[n], low, v);
        if (!kBothParts) continue;
        v[0] = plane(At::value(1))[at];
        v[1] = plane(At::value(1))[at + 4];
        mma_bf16(out[n], high, v);
      }
    }
  }

  BUNDLE_DEVICE void write() const {
    const Global<float> to(a.out);
    BUNDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = first_row() + 8 * half;
      if (row >= rows.count()) continue;
      const std::int64_t base = (rows.batch_row(row) * a.heads + rows.head(row)) * a.cache.head_dim;
      BUNDLE_UNROLL
      for (int i = 0; i < kDim / 4; ++i) {
        const int col = i / 2 * 8 + lane_index() % 4 * 2 + i % 2;
        if (col < a.cache.head_dim) to.put(base + col, out[i / 2][half * 2 + i % 2] / sum[half]);
      }
    }
  }
};

template <typename Element, int kDim>
BUNDLE_KERNEL(kThreads, 1)
attend_tiles(const AttentionTilesArgs a) {
  wait_for_previous();
  Rows rows{};
  rows.tile = Global<const AttentionTile>(a.tiles)[block_x()];
  rows.group = a.heads / a.cache.kv_heads;
  rows.kv_head = block_y();
  rows.base = block_z() * kAttentionTileRows;
  if (rows.count() <= 0) return;
  Prompt<Element, kDim> prompt{a, rows};
  prompt.stage_queries();
  const int end = rows.position(rows.count() - 1) + 1;
  int start = 0;
  if (a.window > 0 && rows.position(0) >= a.window) {
    start = (rows.position(0) + 1 - static_cast<int>(a.window)) / kPositions * kPositions;
  }
  for (; start < end; start += kPositions) {
    sync_block();
    prompt.stage_keys(start, end);
    prompt.stage_values(start, end);
    sync_block();
    float scores[4][4] = {};
    prompt.score(scores);
    prompt.soften(start, scores);
    prompt.add_values(scores);
  }
  prompt.write();
}

template <typename Element, int kDim>
void launch_tiles(Stream stream, const AttentionTilesArgs& a) {
  const LaunchGrid grid{.x = static_cast<unsigned>(a.count),
                        .y = static_cast<unsigned>(a.cache.kv_heads),
                        .z = static_cast<unsigned>(a.heads / a.cache.kv_heads),
                        .threads = kThreads,
                        .shared_bytes = Layout<kDim>::kBytes};
  launch(stream, "attend_tiles", attend_tiles<Element, kDim>, grid, a);
}

}  // namespace

void attention_tiles(Stream stream, const AttentionTilesArgs& args) {
  if (args.count == 0) return;
  with_cache_type(args.cache.type, [&](auto element) {
    using Element = decltype(element);
    if (args.cache.stride <= 64) return launch_tiles<Element, 64>(stream, args);
    launch_tiles<Element, 128>(stream, args);
  });
}

}  // namespace bundle::kernels::cuda
