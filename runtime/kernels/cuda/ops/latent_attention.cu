// Attention of single rows over cached latents, which are keys and values of all heads at once
// (absorbed form), for caches that are not of bfloat16: latent_tiles.cu has those. A block of
// threads walks one span of positions for four heads of one row; each of its warps takes every
// fourth pair of positions, and its lanes hold neighbouring pairs of a latent's elements, so that a
// latent is read once for its score and for its value. The spans' results meet in a second kernel.
#include "runtime/kernels/cuda/ops/latent.h"
#include "runtime/kernels/cuda/ops/reduce.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kHeads = 4;     // a block
constexpr int kTogether = 2;  // positions that a warp has under way
constexpr int kScores = kHeads * kTogether;
constexpr int kPairs = kMostLatentDim / 2 / kWarp;  // of a latent, a lane
constexpr int kMixed = 2 * kPairs;                  // elements of those
constexpr int kFloats = kHeads * (kMixed + 2);      // of a lane's running softmaxes
constexpr std::size_t kRoom = sizeof(float) * (kWarps - 1) * kFloats * kWarp;

/// First element of a lane's pair i.
BUNDLE_DEVICE int column(int i) { return 2 * (i * kWarp + lane_index()); }

template <typename Element>
struct LatentWalk {
  using Latent = typename Element::LoadedPair[kPairs];

  const LatentAttentionArgs& a;
  Sight sight;
  std::int64_t row;
  int first_head;
  int heads;  // of up to kHeads, that there are
  float query[kHeads][kMixed];
  Running<kMixed> running[kHeads];

  BUNDLE_DEVICE void load_query() {
    BUNDLE_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      BUNDLE_UNROLL
      for (int i = 0; i < kPairs; ++i) {
        const Floats2 pair = latent_query(a, row, first_head + h, column(i));
        query[h][2 * i] = pair.v[0] * a.scale;
        query[h][2 * i + 1] = pair.v[1] * a.scale;
      }
    }
  }

  BUNDLE_DEVICE void load(std::int64_t table, int position, Latent& latent) const {
    const std::int64_t at = cache_index(a.cache, a.map, table, position, 0, false);
    BUNDLE_UNROLL
    for (int i = 0; i < kPairs; ++i) {
      if (column(i) < a.cache.stride) latent[i] = Element::load_pair(a.cache, at + column(i));
    }
  }

  BUNDLE_DEVICE void walk(int from, int to) {
    const std::int64_t table = Global<const std::int32_t>(a.map.tables)[row];
    for (int base = from + warp_index() * kTogether; base < to; base += kWarps * kTogether) {
      Latent latents[kTogether] = {};
      BUNDLE_UNROLL
      for (int u = 0; u < kTogether; ++u) {
        if (base + u < to) load(table, base + u, latents[u]);
      }
      float scores[kScores] = {};
      BUNDLE_UNROLL
      for (int s = 0; s < kScores; ++s) {
        BUNDLE_UNROLL
        for (int i = 0; i < kMixed; ++i) {
          scores[s] = fused(query[s % kHeads][i],
                            Element::widen_pair(latents[s / kHeads][i / 2], i % 2), scores[s]);
        }
      }
      const float mine = sum_each(scores);
      BUNDLE_UNROLL
      for (int s = 0; s < kScores; ++s) {
        const float score = shuffle_from(mine, s * (kWarp / kScores));
        if (base + s / kHeads < to) see(running[s % kHeads], score, latents[s / kHeads]);
      }
    }
  }

  BUNDLE_DEVICE void see(Running<kMixed>& r, float score, const Latent& latent) const {
    const float highest = largest(r.top, score);
    const float keep = exp_fast(r.top - highest);
    const float weight = exp_fast(score - highest);
    r.top = highest;
    r.sum = fused(r.sum, keep, weight);
    BUNDLE_UNROLL
    for (int i = 0; i < kMixed; ++i) {
      r.values[i] = fused(weight, Element::widen_pair(latent[i / 2], i % 2), r.values[i] * keep);
    }
  }

  /// Brings the warps together; the first has the result.
  BUNDLE_DEVICE void merge_warps() {
    const Shared<float> room(0);  // (kWarps - 1, kFloats, kWarp)
    if (warp_index() > 0) {
      int at = (warp_index() - 1) * kFloats * kWarp + lane_index();
      BUNDLE_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        room.put(at, running[h].top);
        room.put(at + kWarp, running[h].sum);
        BUNDLE_UNROLL
        for (int i = 0; i < kMixed; ++i) room.put(at + (2 + i) * kWarp, running[h].values[i]);
        at += (2 + kMixed) * kWarp;
      }
    }
    sync_block();
    if (warp_index() > 0) return;
    for (int warp = 1; warp < kWarps; ++warp) {
      int at = (warp - 1) * kFloats * kWarp + lane_index();
      BUNDLE_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        float values[kMixed];
        BUNDLE_UNROLL
        for (int i = 0; i < kMixed; ++i) values[i] = room[at + (2 + i) * kWarp];
        running[h].merge(room[at], room[at + kWarp], values);
        at += (2 + kMixed) * kWarp;
      }
    }
  }

  /// The first warp writes what it mixed of head h: all of it, or the span's part.
  BUNDLE_DEVICE void write(int h, int span) const {
    const bool whole = sight.spans == 1;
    const int head = first_head + h;
    const Global<float> to = whole ? Global<float>(a.out + (row * a.heads + head) * a.rank)
                                   : latent_part(a, row, head, span);
    if (!whole && lane_index() == 0) {
      to.put(0, running[h].top);
      to.put(1, running[h].sum);
    }
    BUNDLE_UNROLL
    for (int i = 0; i < kMixed; ++i) {
      const int c = column(i / 2) + i % 2;
      if (c >= a.rank) continue;
      if (whole) {
        to.put(c, running[h].values[i] / running[h].sum);
      } else {
        to.put(2 + c, running[h].values[i]);
      }
    }
  }
};

template <typename Element>
BUNDLE_KERNEL(kWarps* kWarp, 1)
attend_latents(const LatentAttentionArgs a) {
  wait_for_previous();
  const int span = block_x();
  const std::int64_t row = block_z();
  const Sight sight = Sight::of(a.map, 0, row, kLatentParts);
  if (sight.position < 0 || span >= sight.spans) return;
  const int first_head = block_y() * kHeads;
  LatentWalk<Element> walk{a, sight, row, first_head, a.heads - first_head, {}, {}};
  walk.load_query();
  walk.walk(span * sight.span, sight.end(span));
  walk.merge_warps();
  if (warp_index() > 0) return;
  BUNDLE_UNROLL
  for (int h = 0; h < kHeads; ++h) {
    if (h < walk.heads) walk.write(h, span);
  }
}

/// A grid has at most 65535 rows in z.
constexpr std::int64_t kMostRows = 65535;

LatentAttentionArgs rows_from(const LatentAttentionArgs& a, std::int64_t first) {
  LatentAttentionArgs part = a;
  part.query += first * a.heads * a.rank;
  part.q += first * a.heads * (a.nope_dim + a.rope_dim);
  part.out += first * a.heads * a.rank;
  part.map.positions += first;
  part.map.tables += first;
  part.rows = a.rows - first < kMostRows ? a.rows - first : kMostRows;
  return part;
}

void merge_latents(Stream stream, const LatentAttentionArgs& a) {
  merge_spans(stream, {.partial = a.partial,
                       .out = a.out,
                       .rows = a.rows,
                       .heads = a.heads,
                       .cols = a.rank,
                       .floats = a.rank,
                       .map = a.map,
                       .max_positions = a.max_positions,
                       .parts = kLatentParts});
}

void walk_latents(Stream stream, const LatentAttentionArgs& a) {
  const LaunchGrid grid{.x = static_cast<unsigned>(most_spans(a.max_positions, kLatentParts)),
                        .y = static_cast<unsigned>((a.heads + kHeads - 1) / kHeads),
                        .z = static_cast<unsigned>(a.rows),
                        .threads = kWarps * kWarp,
                        .shared_bytes = kRoom};
  with_cache_type(a.cache.type, [&](auto element) {
    launch(stream, "attend_latents", attend_latents<decltype(element)>, grid, a);
  });
}

}  // namespace

void latent_attention(Stream stream, const LatentAttentionArgs& args) {
  const bool tiled = args.cache.type == CacheType::kBF16 && args.rank <= kMostTiledRank;
  for (std::int64_t first = 0; first < args.rows; first += kMostRows) {
    const LatentAttentionArgs part = rows_from(args, first);
    if (tiled) {
      latent_tiles(stream, part);
    } else {
      walk_latents(stream, part);
    }
    if (most_spans(args.max_positions, kLatentParts) > 1) merge_latents(stream, part);
  }
}

}  // namespace bundle::kernels::cuda
