// Attention of single rows over the paged cache (decode), for groups of query heads that share keys
// and values. Here the kernel for caches of floats; grouped_attention.cu has those for the others.
// A block of threads walks one span of positions for up to eight query heads, so that keys and
// values are read once; each of its warps takes every fourth position, a few lanes a position with
// eight elements each. The spans' results meet in a kernel of their own (merge_spans.cu).
#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/grouped_attention.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kUnroll = 4;  // positions that a lane has under way
using Element = CacheElement<CacheType::kF32>;

template <int kLanes, int kHeads>
struct Walk {
  static constexpr int kTogether = kWarp / kLanes;  // positions a warp reads at once
  static constexpr int kStep = kWarps * kTogether;

  const AttentionArgs& a;
  Sight sight;
  std::int64_t row;
  int kv_head;
  int first_head;  // of up to kHeads query heads
  int heads;       // that there are
  float query[kHeads][kCacheColumns];
  Running<kCacheColumns> running[kHeads];

  BUNDLE_DEVICE int column() const { return lane_index() % kLanes * kCacheColumns; }

  BUNDLE_DEVICE void load_query() {
    const Global<const float> q(a.qkv + row * a.qkv_stride);
    BUNDLE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      BUNDLE_UNROLL
      for (int i = 0; i < kCacheColumns; ++i) {
        const bool there = h < heads && column() + i < a.cache.head_dim;
        query[h][i] =
            there ? q[(first_head + h) * a.cache.head_dim + column() + i] * a.scale : 0.0f;
      }
    }
  }

  /// Positions from..to of the row's sequence, every kStep-th of them for these lanes.
  BUNDLE_DEVICE void walk(int from, int to) {
    const std::int64_t table = Global<const std::int32_t>(a.map.tables)[row];
    const int mine = warp_index() * kTogether + lane_index() / kLanes;
    const bool reads = column() < a.cache.stride;
    for (int base = from + mine; base - mine < to; base += kUnroll * kStep) {
      typename Element::Loaded keys[kUnroll] = {};
      typename Element::Loaded values[kUnroll] = {};
      BUNDLE_UNROLL
      for (int u = 0; u < kUnroll; ++u) {
        const int position = base + u * kStep;
        if (position >= to || !reads) continue;
        const std::int64_t key = cache_index(a.cache, a.map, table, position, kv_head, false);
        const std::int64_t value =
            key + std::int64_t{a.cache.kv_heads} * a.cache.block_tokens * a.cache.stride;
        keys[u] = Element::load(a.cache, key + column());
        values[u] = Element::load(a.cache, value + column());
      }
      BUNDLE_UNROLL
      for (int u = 0; u < kUnroll; ++u) see(keys[u], values[u], base + u * kStep < to);
    }
  }

  BUNDLE_DEVICE void see(const typename Element::Loaded& keys,
                         const typename Element::Loaded& values, bool there) {
    BUNDLE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      float score = 0.0f;
      BUNDLE_UNROLL
      for (int i = 0; i < kCacheColumns; ++i) {
        score = fused(query[h][i], Element::widen(keys, i), score);
      }
      score = sum_lanes<kLanes>(score);
      if (!there) continue;
      Running<kCacheColumns>& r = running[h];
      const float highest = largest(r.top, score);
      const float keep = exp_fast(r.top - highest);
      const float weight = exp_fast(score - highest);
      r.top = highest;
      r.sum = fused(r.sum, keep, weight);
      BUNDLE_UNROLL
      for (int i = 0; i < kCacheColumns; ++i) {
        r.values[i] = fused(weight, Element::widen(values, i), r.values[i] * keep);
      }
    }
  }

  /// Brings the lanes that share columns together.
  BUNDLE_DEVICE void merge_lanes() {
    BUNDLE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      BUNDLE_UNROLL
      for (int mask = kLanes; mask < kWarp; mask *= 2) {
        float values[kCacheColumns];
        const float top = shuffle_xor(running[h].top, mask);
        const float sum = shuffle_xor(running[h].sum, mask);
        BUNDLE_UNROLL
        for (int i = 0; i < kCacheColumns; ++i) {
          values[i] = shuffle_xor(running[h].values[i], mask);
        }
        running[h].merge(top, sum, values);
      }
    }
  }

  /// Brings the warps together; the first warp has the result.
  BUNDLE_DEVICE void merge_warps() {
    constexpr int kFloats = kHeads * (kCacheColumns + 2);
    const Shared<float> room(0);  // (kWarps - 1, kFloats, kLanes)
    const int lane = lane_index();
    if (warp_index() > 0 && lane < kLanes) {
      const int at = (warp_index() - 1) * kFloats * kLanes + lane;
      BUNDLE_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const int of_head = at + h * (kCacheColumns + 2) * kLanes;
        room.put(of_head, running[h].top);
        room.put(of_head + kLanes, running[h].sum);
        BUNDLE_UNROLL
        for (int i = 0; i < kCacheColumns; ++i) {
          room.put(of_head + (2 + i) * kLanes, running[h].values[i]);
        }
      }
    }
    sync_block();
    if (warp_index() > 0 || lane >= kLanes) return;
    for (int warp = 1; warp < kWarps; ++warp) {
      const int at = (warp - 1) * kFloats * kLanes + lane;
      BUNDLE_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        const int of_head = at + h * (kCacheColumns + 2) * kLanes;
        float values[kCacheColumns];
        BUNDLE_UNROLL
        for (int i = 0; i < kCacheColumns; ++i) values[i] = room[of_head + (2 + i) * kLanes];
        running[h].merge(room[of_head], room[of_head + kLanes], values);
      }
    }
  }

  BUNDLE_DEVICE void write_output(int h) const {
    const Global<float> out(a.out + (row * a.heads + first_head + h) * a.cache.head_dim);
    BUNDLE_UNROLL
    for (int i = 0; i < kCacheColumns; ++i) {
      if (column() + i < a.cache.head_dim) {
        out.put(column() + i, running[h].values[i] / running[h].sum);
      }
    }
  }

  BUNDLE_DEVICE void write_partial(int h, int span) const {
    const Global<float> partial(a.partial + partial_at(row, a.heads, first_head + h, span,
                                                       a.cache.stride, a.max_positions, a.parts));
    if (lane_index() == 0) {
      partial.put(0, running[h].top);
      partial.put(1, running[h].sum);
    }
    BUNDLE_UNROLL
    for (int i = 0; i < kCacheColumns; ++i) {
      if (column() + i < a.cache.stride) partial.put(2 + column() + i, running[h].values[i]);
    }
  }

  BUNDLE_DEVICE void write(int span) const {
    if (warp_index() > 0 || lane_index() >= kLanes) return;
    BUNDLE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      if (h >= heads) continue;
      if (sight.spans == 1) {
        write_output(h);
      } else {
        write_partial(h, span);
      }
    }
  }
};

template <int kLanes, int kHeads>
BUNDLE_KERNEL(kWarps* kWarp, 1)
attend_span(const AttentionArgs a) {
  wait_for_previous();
  allow_next();
  const int span = block_x();
  const std::int64_t row = block_z();
  const Sight sight = Sight::of(a.map, a.window, row, a.parts);
  if (sight.position < 0 || span >= sight.spans) return;
  const int group = a.heads / a.cache.kv_heads;
  const int tiles = (group + kHeads - 1) / kHeads;
  const int kv_head = block_y() / tiles;
  const int skipped = block_y() % tiles * kHeads;  // heads of the group in earlier tiles
  Walk<kLanes, kHeads> walk{a,  sight, row, kv_head, kv_head * group + skipped, group - skipped,
                            {}, {}};
  walk.load_query();
  const int start = span * sight.span;
  walk.walk(start > sight.first ? start : sight.first, sight.end(span));
  walk.merge_lanes();
  walk.merge_warps();
  walk.write(span);
}

template <int kLanes, int kHeads>
void launch_attention(Stream stream, const AttentionArgs& a) {
  const std::int64_t group = a.heads / a.cache.kv_heads;
  const std::int64_t tiles = (group + kHeads - 1) / kHeads;
  LaunchGrid grid;
  grid.x = static_cast<unsigned>(most_spans(a.max_positions, a.parts));
  grid.y = static_cast<unsigned>(a.cache.kv_heads * tiles);
  grid.z = static_cast<unsigned>(a.rows);
  grid.threads = kWarps * kWarp;
  grid.shared_bytes = sizeof(float) * (kWarps - 1) * kHeads * (kCacheColumns + 2) * kLanes;
  launch(stream, "attend_span", attend_span<kLanes, kHeads>, grid, a);
}

template <int kLanes>
void choose_heads(Stream stream, const AttentionArgs& a) {
  const int group = a.heads / a.cache.kv_heads;
  if (group == 1) return launch_attention<kLanes, 1>(stream, a);
  if (group == 2) return launch_attention<kLanes, 2>(stream, a);
  if (group <= 4) return launch_attention<kLanes, 4>(stream, a);
  launch_attention<kLanes, 8>(stream, a);
}

void attend_floats(Stream stream, const AttentionArgs& a) {
  if (a.cache.stride <= 64) return choose_heads<8>(stream, a);
  if (a.cache.stride <= 128) return choose_heads<16>(stream, a);
  choose_heads<32>(stream, a);
}

void merge(Stream stream, const AttentionArgs& a) {
  merge_spans(stream, {.partial = a.partial,
                       .out = a.out,
                       .rows = a.rows,
                       .heads = a.heads,
                       .cols = a.cache.head_dim,
                       .floats = a.cache.stride,
                       .map = a.map,
                       .max_positions = a.max_positions,
                       .parts = a.parts});
}

/// A grid has at most 65535 rows in y and z.
constexpr std::int64_t kMostRows = 65535;

AttentionArgs rows_from(const AttentionArgs& a, std::int64_t first) {
  AttentionArgs part = a;
  part.qkv += first * a.qkv_stride;
  part.out += first * a.heads * a.cache.head_dim;
  part.map.positions += first;
  part.map.tables += first;
  part.rows = a.rows - first < kMostRows ? a.rows - first : kMostRows;
  return part;
}

}  // namespace

void attention(Stream stream, const AttentionArgs& args) {
  for (std::int64_t first = 0; first < args.rows; first += kMostRows) {
    const AttentionArgs part = rows_from(args, first);
    if (args.cache.type == CacheType::kF32) {
      attend_floats(stream, part);
    } else {
      attend_groups(stream, part);
    }
    if (most_spans(args.max_positions, args.parts) > 1) merge(stream, part);
  }
}

}  // namespace bundle::kernels::cuda
