// Attention of single rows over cached latents of bfloat16 (absorbed form) on the tensor cores. A
// block of threads walks one span of positions for 16 heads of one row, 32 positions at a time, and
// the next 32 are copied to shared memory meanwhile. A latent is read from there once as a key and
// once as a value.
//
// Scores: each of four warps multiplies a quarter of the latents' elements, with its part of the
// queries in registers, and the quarters are added up through shared memory. Softmax: each warp
// takes four heads. Values: each warp mixes a quarter of the elements.
//
// As in matmul_tiles.cu, queries and weights of the softmax are cut into two parts of bfloat16.
// Tiles begin where the span does, and positions behind its end have a weight of exactly zero, so a
// row depends on its own sequence alone.
#include "runtime/kernels/cuda/ops/cut.h"
#include "runtime/kernels/cuda/ops/latent.h"
#include "runtime/kernels/cuda/ops/reduce.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kHeads = 16;      // a block
constexpr int kPositions = 32;  // a tile
constexpr int kStages = 2;      // tiles in shared memory
constexpr int kStride = 40;     // scores, and weights, from head to head: 8 against bank conflicts
constexpr int kChunk = 8;       // elements that one copy moves
constexpr int kCopiers = 8;     // threads that copy one position
constexpr int kAtOnce = kThreads / kCopiers;  // positions that the block copies at once
constexpr int kPasses = kPositions / kAtOnce;

/// Where things lie in shared memory, for latents of up to 64 · kSteps elements.
template <int kSteps>
struct Room {
  static constexpr int kDim = 64 * kSteps;
  static constexpr int kLatent = kDim + 8;  // elements; 16 bytes against bank conflicts
  static constexpr int kTile = kPositions * kLatent;
  static constexpr int kScores = kHeads * kStride;   // of one warp, floats
  static constexpr int kWeights = kHeads * kStride;  // of one part, elements

  static constexpr std::size_t kScoresAt = sizeof(std::uint16_t) * kStages * kTile;
  static constexpr std::size_t kWeightsAt = kScoresAt + sizeof(float) * kWarps * kScores;
  static constexpr std::size_t kHeadsAt = kWeightsAt + sizeof(std::uint16_t) * 2 * kWeights;
  static constexpr std::size_t kBytes = kHeadsAt + sizeof(Floats2) * kHeads;

  BUNDLE_DEVICE static Shared<std::uint16_t> latents() { return Shared<std::uint16_t>(0); }
  /// (kWarps, kHeads, kStride): each warp's part of the scores.
  BUNDLE_DEVICE static Shared<float> scores() { return Shared<float>(kScoresAt); }
  /// (2, kHeads, kStride): high and low parts.
  BUNDLE_DEVICE static Shared<std::uint16_t> weights() { return Shared<std::uint16_t>(kWeightsAt); }
  /// (kHeads): what to multiply the values so far by, and the sum of all weights so far.
  BUNDLE_DEVICE static Shared<Floats2> heads() { return Shared<Floats2>(kHeadsAt); }
};

/// The copying of tiles. A thread moves every eighth chunk of kPasses positions, whose blocks of
/// the cache it looks up one tile ahead.
template <int kSteps>
struct Copier {
  using At = Room<kSteps>;

  const LatentAttentionArgs& a;
  std::int64_t table;
  int end;        // of the span: behind it, the last position is copied again
  int start = 0;  // of the tile that was looked up last
  int blocks[kPasses] = {};
  int slots[kPasses] = {};

  BUNDLE_DEVICE int row(int pass) const { return pass * kAtOnce + thread_index() / kCopiers; }

  BUNDLE_DEVICE void look_up(int tile) {
    start = tile;
    BUNDLE_UNROLL
    for (int pass = 0; pass < kPasses; ++pass) {
      const int own = start + row(pass);
      const int position = own < end ? own : end - 1;
      const int block = position / a.cache.block_tokens;
      blocks[pass] = Global<const std::int32_t>(a.map.blocks)[table + block];
      slots[pass] = position - block * a.cache.block_tokens;
    }
  }

  /// Queues the tile that was looked up last, or nothing behind the span, and looks up the next.
  BUNDLE_DEVICE void copy(int stage) {
    if (start < end) copy_tile(stage);
    commit_copies();
    look_up(start + kPositions);
  }

  BUNDLE_DEVICE void copy_tile(int stage) const {
    const Global<const std::uint16_t> cache(static_cast<const std::uint16_t*>(a.cache.data));
    const int col = thread_index() % kCopiers * kChunk;
    BUNDLE_UNROLL
    for (int pass = 0; pass < kPasses; ++pass) {
      const std::int64_t position = std::int64_t{blocks[pass]} * a.cache.block_tokens + slots[pass];
      const std::int64_t from = position * a.cache.stride + col;
      const int to = stage * At::kTile + row(pass) * At::kLatent + col;
      BUNDLE_UNROLL
      for (int i = 0; i < kSteps; ++i) {
        constexpr int kApart = kCopiers * kChunk;
        if (col + i * kApart < a.cache.stride) {
          copy_async(At::latents(), to + i * kApart, cache, from + i * kApart);
        }
      }
    }
  }

  /// Columns behind those of the cache, which no copy writes.
  BUNDLE_DEVICE void blank() const {
    const int missing = (At::kDim - a.cache.stride) / kChunk;
    for (int i = thread_index(); i < kStages * kPositions * missing; i += kThreads) {
      const int col = a.cache.stride + i % missing * kChunk;
      At::latents().store(i / missing * At::kLatent + col, Words4{});
    }
  }
};

/// The block's heads. In products, lane 4g + t has elements 2t and 2t + 1 of heads g and g + 8.
template <int kSteps, int kColumns>
struct Mixer {
  using At = Room<kSteps>;
  static constexpr int kTiles = kColumns / kWarps / 8;  // of 8 elements, that a warp mixes
  static constexpr int kGroup = kTiles < 4 ? kTiles : 4;

  const LatentAttentionArgs& a;
  std::int64_t row;
  int first_head;
  std::uint32_t query[2][kSteps][4];  // high and low parts of the warp's quarter
  float top = kNothing;               // of the head that the lane softens
  float sum = 0.0f;
  float out[kTiles][4] = {};

  BUNDLE_DEVICE static int head_of(int half) { return lane_index() / 4 + 8 * half; }
  BUNDLE_DEVICE static int softened() { return warp_index() * 4 + lane_index() / 8; }

  BUNDLE_DEVICE void load_query() {
    Floats2 pairs[kSteps][4];
    BUNDLE_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int c = (warp_index() * kSteps + step) * 16 + i / 2 * 8 + lane_index() % 4 * 2;
        pairs[step][i] = latent_query(a, row, first_head + head_of(i % 2), c);
      }
    }
    BUNDLE_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const Cut both = cut(pairs[step][i].v[0] * a.scale, pairs[step][i].v[1] * a.scale);
        query[0][step][i] = both.high;
        query[1][step][i] = both.low;
      }
    }
  }

  /// scores (16 heads, 32 positions) of the warp's quarter of elements, to shared memory.
  BUNDLE_DEVICE void score(int stage) const {
    float scores[4][4] = {};
    // Lanes name rows of four matrices: 8 positions by elements 0 to 7, then 8 to 15, then the same
    // of the next 8 positions.
    const int matrix = lane_index() / 8;
    const int position = matrix / 2 * 8 + lane_index() % 8;
    const int at =
        stage * At::kTile + position * At::kLatent + warp_index() * kSteps * 16 + matrix % 2 * 8;
    BUNDLE_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      std::uint32_t keys[2][4];
      load_matrices(keys[0], At::latents(), at + step * 16);
      load_matrices(keys[1], At::latents(), at + 16 * At::kLatent + step * 16);
      BUNDLE_UNROLL
      for (int part = 0; part < 2; ++part) {
        BUNDLE_UNROLL
        for (int n = 0; n < 4; ++n) {
          const std::uint32_t key[2] = {keys[n / 2][n % 2 * 2], keys[n / 2][n % 2 * 2 + 1]};
          mma_bf16(scores[n], query[part][step], key);
        }
      }
    }
    const int to = warp_index() * At::kScores + lane_index() % 4 * 2;
    BUNDLE_UNROLL
    for (int n = 0; n < 4; ++n) {
      BUNDLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        At::scores().store(to + head_of(half) * kStride + n * 8,
                           Floats2{scores[n][2 * half], scores[n][2 * half + 1]});
      }
    }
  }

  /// Weights of four heads, eight lanes a head with four positions each, of which `left` are there.
  BUNDLE_DEVICE void soften(int left) {
    const int first = lane_index() % 8 * 4;
    const int at = softened() * kStride + first;
    Floats4 scores = At::scores().template load<Floats4>(at);
    BUNDLE_UNROLL
    for (int warp = 1; warp < kWarps; ++warp) {
      const auto part = At::scores().template load<Floats4>(warp * At::kScores + at);
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) scores.v[i] += part.v[i];
    }
    float highest = kNothing;
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (first + i >= left) scores.v[i] = kNothing;
      highest = largest(highest, scores.v[i]);
    }
    highest = largest(top, max_lanes<8>(highest));
    const float keep = exp_fast(top - highest);
    float added = 0.0f;
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      scores.v[i] = first + i < left ? exp_fast(scores.v[i] - highest) : 0.0f;
      added += scores.v[i];
    }
    sum = fused(sum, keep, sum_lanes<8>(added));
    top = highest;
    const Cut low = cut(scores.v[0], scores.v[1]);
    const Cut high = cut(scores.v[2], scores.v[3]);
    At::weights().store(at, Words2{low.high, high.high});
    At::weights().store(At::kWeights + at, Words2{low.low, high.low});
    if (first == 0) At::heads().put(softened(), {keep, sum});
  }

  /// out += weights · latents, of the warp's quarter of elements.
  BUNDLE_DEVICE void mix(int stage) {
    const float keep[2] = {At::heads()[head_of(0)].v[0], At::heads()[head_of(1)].v[0]};
    BUNDLE_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      BUNDLE_UNROLL
      for (int i = 0; i < 4; ++i) out[n][i] *= keep[i / 2];
    }
    // Lanes name rows of four matrices: 8 heads, or positions, and the other 8, by 8 positions, or
    // elements; then the same by the next 8.
    const int line = lane_index() % 16;
    const int beside = lane_index() / 16 * 8;
    const int weights_at = line * kStride + beside;
    const int latents_at =
        stage * At::kTile + line * At::kLatent + warp_index() * kTiles * 8 + beside;
    BUNDLE_UNROLL
    for (int depth = 0; depth < kPositions; depth += 16) {
      std::uint32_t weights[2][4];
      load_matrices(weights[0], At::weights(), weights_at + depth);
      load_matrices(weights[1], At::weights(), At::kWeights + weights_at + depth);
      BUNDLE_UNROLL
      for (int first = 0; first < kTiles; first += kGroup) {
        std::uint32_t values[kGroup / 2][4];
        BUNDLE_UNROLL
        for (int i = 0; i < kGroup / 2; ++i) {
          load_transposed(values[i], At::latents(),
                          latents_at + depth * At::kLatent + (first + 2 * i) * 8);
        }
        BUNDLE_UNROLL
        for (int part = 0; part < 2; ++part) {
          BUNDLE_UNROLL
          for (int n = 0; n < kGroup; ++n) {
            const std::uint32_t value[2] = {values[n / 2][n % 2 * 2], values[n / 2][n % 2 * 2 + 1]};
            mma_bf16(out[first + n], weights[part], value);
          }
        }
      }
    }
  }

  /// All of what the span's heads mixed, or the span's part of it.
  BUNDLE_DEVICE void write(int span, bool whole) const {
    if (!whole && lane_index() % 8 == 0 && first_head + softened() < a.heads) {
      const Global<float> to = latent_part(a, row, first_head + softened(), span);
      to.store(0, Floats2{top, sum});
    }
    BUNDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int head = first_head + head_of(half);
      if (head >= a.heads) continue;
      const Global<float> to = whole ? Global<float>(a.out + (row * a.heads + head) * a.rank)
                                     : Global<float>(latent_part(a, row, head, span).at(2));
      const float share = whole ? 1.0f / At::heads()[head_of(half)].v[1] : 1.0f;
      BUNDLE_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        const int c = (warp_index() * kTiles + n) * 8 + lane_index() % 4 * 2;
        if (c >= a.rank) continue;
        to.store(c, Floats2{out[n][2 * half] * share, out[n][2 * half + 1] * share});
      }
    }
  }
};

/// For latents of up to 64 · kSteps elements and a rank of up to kColumns. Two blocks share a
/// multiprocessor: one computes while the other waits.
template <int kSteps, int kColumns>
BUNDLE_KERNEL(kThreads, 2)
attend_latent_tiles(const LatentAttentionArgs a) {
  wait_for_previous();
  const int span = block_x();
  const std::int64_t row = block_z();
  const Sight sight = Sight::of(a.map, 0, row, kLatentParts);
  if (sight.position < 0 || span >= sight.spans) return;
  int start = span * sight.span;
  const int end = sight.end(span);
  Copier<kSteps> copier{a, Global<const std::int32_t>(a.map.tables)[row], end};
  copier.look_up(start);
  for (int stage = 0; stage < kStages; ++stage) copier.copy(stage);
  copier.blank();
  Mixer<kSteps, kColumns> mixer{a, row, block_y() * kHeads, {}};
  mixer.load_query();
  for (int stage = 0; start < end; start += kPositions, stage = (stage + 1) % kStages) {
    wait_copies<kStages - 1>();
    sync_block();
    mixer.score(stage);
    sync_block();
    mixer.soften(end - start);
    sync_block();
    mixer.mix(stage);
    sync_block();
    copier.copy(stage);
  }
  allow_next();
  mixer.write(span, sight.spans == 1);
}

template <int kSteps, int kColumns>
void launch_tiles(Stream stream, const LatentAttentionArgs& a) {
  const LaunchGrid grid{.x = static_cast<unsigned>(most_spans(a.max_positions, kLatentParts)),
                        .y = static_cast<unsigned>((a.heads + kHeads - 1) / kHeads),
                        .z = static_cast<unsigned>(a.rows),
                        .threads = kThreads,
                        .shared_bytes = Room<kSteps>::kBytes};
  launch(stream, "attend_latent_tiles", attend_latent_tiles<kSteps, kColumns>, grid, a);
}

}  // namespace

void latent_tiles(Stream stream, const LatentAttentionArgs& args) {
  if (args.cache.stride <= 64) return launch_tiles<1, 64>(stream, args);
  launch_tiles<9, kMostTiledRank>(stream, args);
}

}  // namespace bundle::kernels::cuda
