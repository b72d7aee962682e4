// Attention of single rows over the paged cache (decode), on the tensor cores. A block of threads
// takes one span of positions and up to 16 of the query heads that share keys and values; each of
// its warps takes every eighth tile of 16 positions, from memory to registers and from there into
// products: no element of the cache passes through shared memory or another lane.
//
// The order in which a product's sum runs is free, so lanes hold of the two sides what their loads
// bring, eight neighbouring elements each. With g = lane / 4 and t = lane % 4:
//
//   scores (heads, positions) = queries · keysᵀ: the lane's keys are elements 32j + 8t… of
//   positions g and 8 + g; of the product's 16 rows the first eight are the queries' high parts and
//   the others their low parts, so that one product gives both.
//
//   out (elements, heads) = valuesᵀ · weightsᵀ: the lane's values are elements 64j + 8g… of the
//   four positions 2t, 2t + 1, 8 + 2t, 9 + 2t, whose weights it has from the scores. Pairs of
//   positions are made of pairs of elements within the lane.
//
// Queries and weights of the softmax are cut into two parts of the cache's type. Positions that the
// row does not see are read as the nearest that it sees, and are multiplied with zero.
#include "runtime/kernels/cuda/ops/cache_words.h"
#include "runtime/kernels/cuda/ops/grouped_attention.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kPositions = 16;              // a tile
constexpr int kStep = kWarps * kPositions;  // from a warp's tile to its next
constexpr int kHeads = 8;                   // a set of heads, of which a block has one or two
constexpr int kSlots = kWarps / 2;          // where warps leave what they mixed

/// Where things lie in shared memory, in words.
template <int kDim, int kSets>
struct Room {
  static constexpr int kAll = kSets * kHeads;
  static constexpr int kSteps = kDim / 16;  // of a product over a head's elements
  static constexpr int kStride = kDim + 4;  // 4 against bank conflicts

  static constexpr int kQueries = 0;                                   // (kSets, kSteps, kWarp, 4)
  static constexpr int kTops = kQueries + kSets * kSteps * kWarp * 4;  // (kWarps, kAll)
  static constexpr int kSums = kTops + kWarps * kAll;                  // (kWarps, kAll)
  static constexpr int kTotals = kSums + kWarps * kAll;                // (2, kAll): top and sum
  static constexpr int kView = kTotals + 2 * kAll;                     // View
  static constexpr int kTask = kView + 4;                              // Task
  static constexpr int kValues = kTask + 4;                            // (kSlots, kAll, kStride)
  static constexpr std::size_t kBytes = sizeof(float) * (kValues + kSlots * kAll * kStride);
};

// What a block knows of its task lies in shared memory while it walks, as registers are scarce
// there.

/// Positions from..to, and where the row's block table starts.
struct alignas(16) View {
  int from;
  int to;
  int table;
  int spare;
};

/// The query heads that a block takes, and what its results are part of.
struct alignas(16) Task {
  int first_head;
  int heads;  // from that one on, of which the block takes up to a Room's kAll
  int span;
  int spans;  // of the row
};

/// Of a position in the cache.
struct Place {
  std::int32_t block;
  std::uint32_t slot;
};

template <CacheType kType, int kDim, int kSets>
struct GroupWalk {
  using Words = CacheWords<kType>;
  using Loaded = typename Words::Loaded;
  using In = Room<kDim, kSets>;
  static constexpr int kKeyLoads = kDim / 32;
  static constexpr int kValueLoads = kDim / 64;

  const AttentionArgs& a;
  std::int64_t row;
  unsigned lane;
  int kv_head;
  float top[kSets] = {};  // of head g of a set
  float sum[kSets] = {};  // the lane's part of it
  float out[kSets][kDim / 16][4] = {};
  Loaded keys[2][kKeyLoads] = {};
  Loaded values[4][kValueLoads] = {};

  BUNDLE_DEVICE int g() const { return static_cast<int>(lane / 4); }
  BUNDLE_DEVICE int t() const { return static_cast<int>(lane % 4); }
  BUNDLE_DEVICE static Shared<float> room(int first_word) {
    return Shared<float>(sizeof(float) * static_cast<std::size_t>(first_word));
  }

  /// Cuts the queries, and leaves them as the left side of products, a lane's words together.
  BUNDLE_DEVICE void stage_queries(const Task& task) const {
    const Global<const float> q(a.qkv + row * a.qkv_stride +
                                std::int64_t{task.first_head} * a.cache.head_dim);
    BUNDLE_UNROLL
    for (int i = warp_index(); i < kSets * In::kSteps; i += kWarps) {
      const int head = i / In::kSteps * kHeads + g();
      const int col = i % In::kSteps / 2 * 32 + 8 * t() + i % 2 * 4;
      float x[4];
      BUNDLE_UNROLL
      for (int j = 0; j < 4; ++j) {
        const bool there = head < task.heads && col + j < a.cache.head_dim;
        x[j] = there ? q[head * a.cache.head_dim + col + j] * a.scale : 0.0f;
      }
      const Cut first = Words::cut(x[0], x[1]);
      const Cut second = Words::cut(x[2], x[3]);
      Shared<std::uint32_t>(sizeof(float) * In::kQueries)
          .store((i * kWarp + lane) * 4, Words4{{first.high, first.low, second.high, second.low}});
    }
  }

  /// Where the cache has position base + lane, or the nearest that the block sees.
  BUNDLE_DEVICE Place find(const View& view, int base) const {
    int position = base + static_cast<int>(lane);
    if (position >= view.to) position = view.to - 1;
    if (position < view.from) position = view.from;
    const auto tokens = static_cast<unsigned>(a.cache.block_tokens);
    const unsigned block = static_cast<unsigned>(position) / tokens;
    return {Global<const std::int32_t>(a.map.blocks)[std::int64_t{view.table} + block],
            static_cast<unsigned>(position) - block * tokens};
  }
  /// The number of the place's key among all vectors of the cache's layer.
  BUNDLE_DEVICE std::uint32_t key_at(const Place& place) const {
    const auto heads_before = static_cast<std::uint32_t>(place.block) * a.cache.vectors;
    return (heads_before * a.cache.kv_heads + kv_head) * a.cache.block_tokens + place.slot;
  }
  BUNDLE_DEVICE std::int64_t element(std::uint32_t vector, int column) const {
    const auto stride = static_cast<std::uint32_t>(a.cache.stride);
    return static_cast<std::int64_t>(std::uint64_t{vector} * stride) + column;
  }

  /// `found`: key_at() of the tile. What lies past the end of a head is never loaded, and stays 0.
  BUNDLE_DEVICE void load_keys(std::uint32_t found) {
    const int column = 8 * t();
    std::int64_t at[2];
    BUNDLE_UNROLL
    for (int i = 0; i < 2; ++i) at[i] = element(shuffle_from(found, 8 * i + g()), column);
    BUNDLE_UNROLL
    for (int j = 0; j < kKeyLoads; ++j) {
      const bool there = column + 32 * j < a.cache.stride;
      BUNDLE_UNROLL
      for (int i = 0; i < 2; ++i) Words::load_if(there, a.cache, at[i] + 32 * j, keys[i][j]);
    }
  }

  BUNDLE_DEVICE void load_values(std::uint32_t found) {
    const int column = 8 * g();
    const std::uint32_t value = found + a.cache.kv_heads * a.cache.block_tokens;
    std::int64_t at[4];
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      at[i] = element(shuffle_from(value, i / 2 * 8 + 2 * t() + i % 2), column);
    }
    BUNDLE_UNROLL
    for (int j = 0; j < kValueLoads; ++j) {
      const bool there = column + 64 * j < a.cache.stride;
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) Words::load_if(there, a.cache, at[i] + 64 * j, values[i][j]);
    }
  }

  /// scores[s][i]: of head g of set s to positions 2t and 2t + 1 (+ 8i) of the tile.
  BUNDLE_DEVICE void score(float (&scores)[kSets][2][2]) const {
    const Shared<std::uint32_t> queries(sizeof(float) * In::kQueries);
    float sums[kSets][2][4] = {};
    BUNDLE_UNROLL
    for (int step = 0; step < In::kSteps; ++step) {
      BUNDLE_UNROLL
      for (int s = 0; s < kSets; ++s) {
        const auto query =
            queries.template load<Words4>(((s * In::kSteps + step) * kWarp + lane) * 4);
        BUNDLE_UNROLL
        for (int i = 0; i < 2; ++i) {
          const Loaded& key = keys[i][step / 2];
          Words::multiply(sums[s][i], query.v,
                          {Words::word(key, step % 2 * 2), Words::word(key, step % 2 * 2 + 1)});
        }
      }
    }
    BUNDLE_UNROLL
    for (int i = 0; i < 4 * kSets; ++i) {
      const float(&both)[4] = sums[i / 4][i / 2 % 2];
      scores[i / 4][i / 2 % 2][i % 2] = both[i % 2] + both[i % 2 + 2];
    }
  }

  /// Turns scores into weights, and scales what was summed up to the new largest score. A tile has
  /// at least one position that the row sees, so the others' weights are zero.
  BUNDLE_DEVICE void soften(const View& view, int base, float (&scores)[kSets][2][2]) {
    BUNDLE_UNROLL
    for (int s = 0; s < kSets; ++s) {
      float highest = top[s];
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int position = base + i / 2 * 8 + 2 * t() + i % 2;
        float& score = scores[s][i / 2][i % 2];
        if (position < view.from || position >= view.to) score = kNothing;
        highest = largest(highest, score);
      }
      highest = largest(highest, shuffle_xor(highest, 1));
      highest = largest(highest, shuffle_xor(highest, 2));
      const float keep = exp_fast(top[s] - highest);
      top[s] = highest;
      sum[s] *= keep;
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        float& score = scores[s][i / 2][i % 2];
        score = exp_fast(score - highest);
        sum[s] += score;
      }
      const float keeps[2] = {shuffle_from(keep, 8 * t()), shuffle_from(keep, 8 * t() + 4)};
      BUNDLE_UNROLL
      for (int i = 0; i < kDim / 4; ++i) out[s][i / 4][i % 4] *= keeps[i % 2];
    }
  }

  /// out += values · weights. Of the product's rows the first eight are even elements, the others
  /// odd ones: out[s][4j + w] has elements 64j + 8g + 2w and the next of heads 2t and 2t + 1.
  BUNDLE_DEVICE void add_values(const float (&weights)[kSets][2][2]) {
    std::uint32_t high[kSets][2], low[kSets][2];
    BUNDLE_UNROLL
    for (int i = 0; i < 2 * kSets; ++i) {
      const Cut both = Words::cut(weights[i / 2][i % 2][0], weights[i / 2][i % 2][1]);
      high[i / 2][i % 2] = both.high;
      low[i / 2][i % 2] = both.low;
    }
    BUNDLE_UNROLL
    for (int n = 0; n < kDim / 16; ++n) {
      std::uint32_t pairs[4];
      BUNDLE_UNROLL
      for (int i = 0; i < 2; ++i) {
        const std::uint32_t first = Words::word(values[2 * i][n / 4], n % 4);
        const std::uint32_t second = Words::word(values[2 * i + 1][n / 4], n % 4);
        pairs[2 * i] = lower_halves(first, second);
        pairs[2 * i + 1] = upper_halves(first, second);
      }
      BUNDLE_UNROLL
      for (int s = 0; s < kSets; ++s) {
        Words::multiply(out[s][n], pairs, high[s]);
        Words::multiply(out[s][n], pairs, low[s]);
      }
    }
  }

  /// A warp's next keys are under way once the last are used, its next values likewise, and where
  /// they lie is known one tile ahead. All warps load a first tile, those that have none too: under
  /// a condition the compiler would let the loads end first.
  BUNDLE_DEVICE void walk(const View& all, const Task& task) {
    int base = all.from / kPositions * kPositions + warp_index() * kPositions;
    std::uint32_t found = key_at(find(all, base));
    load_keys(found);
    load_values(found);
    Place next = find(all, base + kStep);
    stage_queries(task);
    if (thread_index() == 0) {
      room(In::kView).store(0, all);
      room(In::kTask).store(0, task);
    }
    sync_block();
    for (; base < view().to; base += kStep) {
      sync_warp();  // keeps what is read from shared memory out of registers
      lane = static_cast<unsigned>(fresh(static_cast<int>(lane)));
      const bool more = base + kStep < view().to;
      float scores[kSets][2][2];
      score(scores);
      if (more) {
        found = key_at(next);
        load_keys(found);
      }
      soften(view(), base, scores);
      add_values(scores);
      if (more) {
        load_values(found);
        next = find(view(), base + 2 * kStep);
      }
    }
  }
  BUNDLE_DEVICE static View view() { return room(In::kView).template load<View>(0); }

  /// Brings the warps together, in shared memory.
  BUNDLE_DEVICE void merge() {
    share_tops();
    sync_block();
    scale_to_block();
    if (warp_index() >= kSlots) put_values<false>(warp_index() - kSlots);
    sync_block();
    if (warp_index() < kSlots) put_values<true>(warp_index());
    sync_block();
  }

  BUNDLE_DEVICE void share_tops() {
    BUNDLE_UNROLL
    for (int s = 0; s < kSets; ++s) {
      sum[s] = sum_lanes<4>(sum[s]);
      const int at = warp_index() * In::kAll + s * kHeads + g();
      if (t() != 0) continue;
      room(In::kTops).put(at, top[s]);
      room(In::kSums).put(at, sum[s]);
    }
  }

  /// Of all warps.
  BUNDLE_DEVICE static float block_top(int head) {
    float highest = kNothing;
    BUNDLE_UNROLL
    for (int w = 0; w < kWarps; ++w) {
      highest = largest(highest, room(In::kTops)[w * In::kAll + head]);
    }
    return highest;
  }

  BUNDLE_DEVICE void scale_to_block() {
    BUNDLE_UNROLL
    for (int s = 0; s < kSets; ++s) {
      BUNDLE_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int head = s * kHeads + 2 * t() + e;
        const float own = room(In::kTops)[warp_index() * In::kAll + head];
        const float keep = exp_fast(own - block_top(head));
        BUNDLE_UNROLL
        for (int n = 0; n < kDim / 16; ++n) {
          out[s][n][e] *= keep;
          out[s][n][e + 2] *= keep;
        }
      }
    }
    const int head = thread_index();
    if (head >= In::kAll) return;
    const float highest = block_top(head);
    float total = 0.0f;
    BUNDLE_UNROLL
    for (int w = 0; w < kWarps; ++w) {
      const int at = w * In::kAll + head;
      total = fused(room(In::kSums)[at], exp_fast(room(In::kTops)[at] - highest), total);
    }
    room(In::kTotals).put(head, highest);
    room(In::kTotals).put(In::kAll + head, total);
  }

  /// Leaves the lane's values in a slot; with kAdd, on top of what is there.
  template <bool kAdd>
  BUNDLE_DEVICE void put_values(int slot) const {
    BUNDLE_UNROLL
    for (int s = 0; s < kSets; ++s) {
      BUNDLE_UNROLL
      for (int i = 0; i < kDim / 16; ++i) {
        const int e = i % 2;
        const int n = i / 2 * 2;
        const int head = s * kHeads + 2 * t() + e;
        const int at = (slot * In::kAll + head) * In::kStride + n / 4 * 64 + 8 * g() + n % 4 * 2;
        Floats4 four = {{out[s][n][e], out[s][n][e + 2], out[s][n + 1][e], out[s][n + 1][e + 2]}};
        if constexpr (kAdd) {
          const auto there = room(In::kValues).template load<Floats4>(at);
          BUNDLE_UNROLL
          for (int j = 0; j < 4; ++j) four.v[j] += there.v[j];
        }
        room(In::kValues).store(at, four);
      }
    }
  }

  /// The results, or the span's part of them.
  BUNDLE_DEVICE void write() const {
    const auto task = room(In::kTask).template load<Task>(0);
    for (int i = thread_index(); i < task.heads * kDim && i < In::kAll * kDim;
         i += kWarps * kWarp) {
      const int h = i / kDim;
      const int c = i % kDim;
      if (c >= a.cache.head_dim) continue;
      float value = 0.0f;
      BUNDLE_UNROLL
      for (int slot = 0; slot < kSlots; ++slot) {
        value += room(In::kValues)[(slot * In::kAll + h) * In::kStride + c];
      }
      const float total = room(In::kTotals)[In::kAll + h];
      const int head = task.first_head + h;
      if (task.spans == 1) {
        Global<float>(a.out).put((row * a.heads + head) * a.cache.head_dim + c, value / total);
        continue;
      }
      const Global<float> partial(a.partial + partial_at(row, a.heads, head, task.span,
                                                         a.cache.stride, a.max_positions, a.parts));
      partial.put(2 + c, value);
      if (c > 0) continue;
      partial.put(0, room(In::kTotals)[h]);
      partial.put(1, total);
    }
  }
};

/// Blocks that share a multiprocessor, and its registers.
template <int kDim, int kSets>
constexpr int blocks_together() {
  return kSets * kDim <= 128 ? 2 : 1;
}

template <CacheType kType, int kDim, int kSets>
BUNDLE_KERNEL(kWarps* kWarp, (blocks_together<kDim, kSets>()))
attend_group(const AttentionArgs a) {
  wait_for_previous();
  allow_next();
  const std::int64_t row = block_z();
  const int table = Global<const std::int32_t>(a.map.tables)[row];
  const Sight sight = Sight::of(a.map, a.window, row, a.parts);
  const int kv_head = block_y();
  const int group = a.heads / a.cache.kv_heads;
  const int sharing = (group + kSets * kHeads - 1) / (kSets * kHeads);
  const int span = block_x() / sharing;
  if (sight.position < 0 || span >= sight.spans) return;
  const int skipped = block_x() % sharing * kSets * kHeads;  // heads of the group in other blocks
  const int start = span * sight.span;
  const View view{start > sight.first ? start : sight.first, sight.end(span), table, 0};
  const Task task{kv_head * group + skipped, group - skipped, span, sight.spans};
  GroupWalk<kType, kDim, kSets> walk{a, row, static_cast<unsigned>(lane_index()), kv_head};
  BUNDLE_UNROLL
  for (int s = 0; s < kSets; ++s) walk.top[s] = kNothing;
  walk.walk(view, task);
  walk.merge();
  walk.write();
}

template <CacheType kType, int kDim, int kSets>
void launch_groups(Stream stream, const AttentionArgs& a) {
  const std::int64_t group = a.heads / a.cache.kv_heads;
  const std::int64_t sharing = (group + kSets * kHeads - 1) / (kSets * kHeads);
  const std::int64_t spans = most_spans(a.max_positions, a.parts);
  const LaunchGrid grid{.x = static_cast<unsigned>(spans * sharing),
                        .y = static_cast<unsigned>(a.cache.kv_heads),
                        .z = static_cast<unsigned>(a.rows),
                        .threads = kWarps * kWarp,
                        .shared_bytes = Room<kDim, kSets>::kBytes};
  launch(stream, "attend_group", attend_group<kType, kDim, kSets>, grid, a);
}

template <CacheType kType>
void choose_shape(Stream stream, const AttentionArgs& a) {
  const bool large = a.heads / a.cache.kv_heads > kHeads;
  if (a.cache.stride <= 64) {
    return large ? launch_groups<kType, 64, 2>(stream, a) : launch_groups<kType, 64, 1>(stream, a);
  }
  if (a.cache.stride <= 128) {
    return large ? launch_groups<kType, 128, 2>(stream, a)
                 : launch_groups<kType, 128, 1>(stream, a);
  }
  launch_groups<kType, 256, 1>(stream, a);
}

}  // namespace

void attend_groups(Stream stream, const AttentionArgs& args) {
  switch (args.cache.type) {
    case CacheType::kF16:
      return choose_shape<CacheType::kF16>(stream, args);
    case CacheType::kBF16:
      return choose_shape<CacheType::kBF16>(stream, args);
    case CacheType::kF8:
      return choose_shape<CacheType::kF8>(stream, args);
    case CacheType::kF32:
      return;
  }
}

}  // namespace bundle::kernels::cuda
