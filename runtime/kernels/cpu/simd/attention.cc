// Attention of a few query rows to one chunk of positions, the scores in memory between two small
// matrix products. Keys lie transposed, so that a vector holds kLanes positions and a score is
// never summed across a vector; every key and value read is used by up to kMaxRows query rows.
//
// Sums run over positions from the chunk's start, one after the other. Positions that a row does
// not see have weight exactly 0 and change no bit of its sums, so the rows that share a tile do not
// show in each other's results.
#include "runtime/kernels/cpu/simd/table.h"
#include "runtime/kernels/cpu/simd/vec.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

/// Query rows that share loads; sums for 4 vectors each fit the registers.
constexpr int kMaxRows = kLanes == 16 ? 6 : 3;
constexpr int kVectorsPerTile = kTile / kLanes;

struct KvF32 {
  static constexpr std::int64_t kBytes = 4;
  BUNDLE_INLINE F32 get(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
};

struct KvF16 {
  static constexpr std::int64_t kBytes = 2;
  BUNDLE_INLINE F32 get(const std::byte* p) { return load_half(p); }
};

struct KvBf16 {
  static constexpr std::int64_t kBytes = 2;
  BUNDLE_INLINE F32 get(const std::byte* p) { return load_bf16(p); }
};

struct KvF8 {
  static constexpr std::int64_t kBytes = 1;
  BUNDLE_INLINE F32 get(const std::byte* p) { return load_f8(p); }
};

/// Scores of R rows for V vectors of positions, the first of them at vector `first` of the chunk.
template <typename Kv, int R, int V>
BUNDLE_INLINE void score_vectors(const AttentionArgs& args, std::int64_t row, std::int64_t first) {
  const std::byte* keys[V];
  BUNDLE_UNROLL
  for (int v = 0; v < V; ++v) {
    const std::int64_t vector = first + v;
    keys[v] =
        args.k_tiles[vector / kVectorsPerTile] + vector % kVectorsPerTile * kLanes * Kv::kBytes;
  }
  const float* q = args.q + row * args.dim;
  F32 sums[R][V];
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v) sums[r][v] = zero();
  for (std::int64_t d = 0; d < args.dim; ++d) {
    F32 x[R];
    BUNDLE_UNROLL
    for (int r = 0; r < R; ++r) x[r] = set(q[r * args.dim + d]);
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      const F32 key = Kv::get(keys[v] + d * kTile * Kv::kBytes);
      BUNDLE_UNROLL
      for (int r = 0; r < R; ++r) sums[r][v] = fma(x[r], key, sums[r][v]);
    }
  }
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v)
    store(args.scores + (row + r) * kChunk + (first + v) * kLanes, sums[r][v]);
}

template <typename Kv, int R>
BUNDLE_INLINE void score_rows(const AttentionArgs& args, std::int64_t row) {
  std::int64_t vector = args.first_tile * kVectorsPerTile;
  const std::int64_t end = args.last_tile * kVectorsPerTile;
  for (; vector + 4 <= end; vector += 4) score_vectors<Kv, R, 4>(args, row, vector);
  for (; vector < end; ++vector) score_vectors<Kv, R, 1>(args, row, vector);
}

/// Turns a row's scores into weights exp(score − max), 0 where it does not see.
void soften_row(const AttentionArgs& args, std::int64_t row) {
  float* scores = args.scores + row * kChunk;
  const std::int64_t from = args.first_tile * kTile;
  const std::int64_t to = args.last_tile * kTile;
  const std::int64_t begin = args.begin[row];
  const std::int64_t end = args.end[row];
  const F32 lowest = set(-__builtin_inff());
  F32 peak = lowest;
  for (std::int64_t p = from; p < to; p += kLanes)
    peak = max(keep_lanes(load(scores + p), lowest, begin - p, end - p), peak);
  const float top = largest(peak);
  F32 total = zero();
  for (std::int64_t p = from; p < to; p += kLanes) {
    const F32 weight = exp(sub(load(scores + p), set(top)));
    const F32 kept = keep_lanes(weight, zero(), begin - p, end - p);
    store(scores + p, kept);
    total = add(total, kept);
  }
  args.max[row] = top;
  args.sum[row] = sum(total);
}

/// Σ weight · v for R rows and V vectors of dimensions from `dim` on.
template <typename Kv, int R, int V>
BUNDLE_INLINE void mix_vectors(const AttentionArgs& args, std::int64_t row, std::int64_t dim,
                               std::int64_t begin, std::int64_t end) {
  const float* weights = args.scores + row * kChunk;
  F32 sums[R][V];
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v) sums[r][v] = zero();
  for (std::int64_t p = begin; p < end; ++p) {
    const std::byte* values =
        args.v_tiles[p / kTile] + (p % kTile * args.value_stride + dim) * Kv::kBytes;
    F32 w[R];
    BUNDLE_UNROLL
    for (int r = 0; r < R; ++r) w[r] = set(weights[r * kChunk + p]);
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      const F32 value = Kv::get(values + v * kLanes * Kv::kBytes);
      BUNDLE_UNROLL
      for (int r = 0; r < R; ++r) sums[r][v] = fma(w[r], value, sums[r][v]);
    }
  }
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v)
    store(args.out + (row + r) * args.value_dim + dim + v * kLanes, sums[r][v]);
}

template <typename Kv, int R>
BUNDLE_INLINE void mix_rows(const AttentionArgs& args, std::int64_t row) {
  std::int64_t begin = args.last_tile * kTile;
  std::int64_t end = 0;
  for (int r = 0; r < R; ++r) {
    begin = min_of(begin, args.begin[row + r]);
    end = max_of(end, args.end[row + r]);
  }
  std::int64_t dim = 0;
  for (; dim + 4 * kLanes <= args.value_dim; dim += 4 * kLanes)
    mix_vectors<Kv, R, 4>(args, row, dim, begin, end);
  for (; dim < args.value_dim; dim += kLanes) mix_vectors<Kv, R, 1>(args, row, dim, begin, end);
}

template <typename Kv, int R>
void attend_rows(const AttentionArgs& args, std::int64_t row) {
  score_rows<Kv, R>(args, row);
  for (int r = 0; r < R; ++r) soften_row(args, row + r);
  mix_rows<Kv, R>(args, row);
}

template <typename Kv>
void attend(const AttentionArgs& args) {
  std::int64_t row = 0;
  for (; row + kMaxRows <= args.rows; row += kMaxRows) attend_rows<Kv, kMaxRows>(args, row);
  if constexpr (kMaxRows > 3) {
    for (; row + 3 <= args.rows; row += 3) attend_rows<Kv, 3>(args, row);
  }
  for (; row + 2 <= args.rows; row += 2) attend_rows<Kv, 2>(args, row);
  for (; row < args.rows; ++row) attend_rows<Kv, 1>(args, row);
}

void merge_attention(float* max_score, float* total, float* out, float max2, float sum2,
                     const float* out2, std::int64_t dim) {
  float top[1] = {*max_score > max2 ? *max_score : max2};
  alignas(64) float factors[kLanes] = {*max_score - *top, max2 - *top};
  store(factors, exp(load(factors)));
  const F32 old_factor = set(factors[0]);
  const F32 new_factor = set(factors[1]);
  for (std::int64_t d = 0; d < dim; d += kLanes)
    store(out + d, fma(load(out + d), old_factor, mul(load(out2 + d), new_factor)));
  *total = *total * factors[0] + sum2 * factors[1];
  *max_score = *top;
}

void store_f32(const float* values, std::int64_t n, std::int64_t stride, std::byte* out) {
  auto* elements = reinterpret_cast<float*>(out);
  for (std::int64_t i = 0; i < n; ++i) elements[i * stride] = values[i];
}

/// Largest finite half: larger values stay finite, so that weight 0 times a value is 0.
constexpr float kHalfMax = 65504.0f;

void store_f16(const float* values, std::int64_t n, std::int64_t stride, std::byte* out) {
  auto* elements = reinterpret_cast<std::uint16_t*>(out);
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const std::int64_t count = min_of(kLanes, n - i);
    alignas(64) std::uint16_t halves[kLanes];
    // NaN is the second operand of both, and stays.
    const F32 v = min(set(kHalfMax), max(set(-kHalfMax), load_n(values + i, count)));
    store_half(reinterpret_cast<std::byte*>(halves), v);
    for (std::int64_t k = 0; k < count; ++k) elements[(i + k) * stride] = halves[k];
  }
}

void store_bf16(const float* values, std::int64_t n, std::int64_t stride, std::byte* out) {
  auto* elements = reinterpret_cast<std::uint16_t*>(out);
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, values + i, sizeof bits);
    elements[i * stride] = static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
  }
}

/// As float_to_f8e4m3: to nearest even, at most 448.
std::uint8_t to_f8(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 24 & 0x80u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint8_t>(sign | 0x7Fu);
  if (magnitude >= 0x43E80000u) return static_cast<std::uint8_t>(sign | 0x7Eu);
  if (magnitude < 0x3C800000u) {
    float shifted;
    __builtin_memcpy(&shifted, &magnitude, sizeof shifted);
    shifted += 0x1p14f;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    return static_cast<std::uint8_t>(sign | (bits - 0x46800000u));
  }
  const std::uint32_t odd = magnitude >> 20 & 1u;
  return static_cast<std::uint8_t>(sign | (magnitude - 0x3C000000u + 0x7FFFFu + odd) >> 20);
}

void store_f8(const float* values, std::int64_t n, std::int64_t stride, std::byte* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i * stride] = static_cast<std::byte>(to_f8(values[i]));
}

}  // namespace

void add_attention(KernelTable& table) {
  table.store[static_cast<int>(KvType::kF32)] = store_f32;
  table.store[static_cast<int>(KvType::kF16)] = store_f16;
  table.store[static_cast<int>(KvType::kBf16)] = store_bf16;
  table.store[static_cast<int>(KvType::kF8)] = store_f8;
  table.attend[static_cast<int>(KvType::kF32)] = attend<KvF32>;
  table.attend[static_cast<int>(KvType::kF16)] = attend<KvF16>;
  table.attend[static_cast<int>(KvType::kBf16)] = attend<KvBf16>;
  table.attend[static_cast<int>(KvType::kF8)] = attend<KvF8>;
  table.merge_attention = merge_attention;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
