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

/// As floats 2^120 too small, for products with something lifted (gemm_fp8.cc says why).
struct KvF8 {
  static constexpr std::int64_t kBytes = 1;
  /// Small elements are common here.
  BUNDLE_INLINE F32 get(const std::byte* p) {
    return scaled_f8<true>(shift_left<24>(load_u8_words(p)));
  }
};

/// Signed bytes, whose scales lie behind a tile's elements: bfloat16 [group][kTile].
struct KvI8 {
  static constexpr std::int64_t kBytes = 1;
  BUNDLE_INLINE F32 get(const std::byte* p) { return to_float(load_i8_words(p)); }
};

template <typename Kv>
inline constexpr bool kLifted = false;
template <>
inline constexpr bool kLifted<KvF8> = true;

/// A factor of products with a cached element.
template <typename Kv>
BUNDLE_INLINE F32 lift(F32 x) {
  if constexpr (kLifted<Kv>) return mul(x, set(kActivationLift));
  return x;
}
/// A sum of such products as it should be.
template <typename Kv>
BUNDLE_INLINE F32 lower(F32 sum) {
  if constexpr (kLifted<Kv>) return mul(sum, set(1 / kF8Scale / kActivationLift));
  return sum;
}

template <typename Kv>
inline constexpr bool kScaled = false;
template <>
inline constexpr bool kScaled<KvI8> = true;

/// Elements of a vector that share a scale, as kKvScaleGroup.
constexpr std::int64_t kScaleGroup = 32;
constexpr std::int64_t kGroupScales = 2 * kTile;  // bytes of a group's scales in a tile

float read_bf16(const std::byte* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, sizeof half);
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

/// sums = Σ q[d] · key[d] over dimensions begin … end − 1; keys[v] points at dimension 0.
template <typename Kv, int R, int V>
BUNDLE_INLINE void add_products(const AttentionArgs& args, std::int64_t row, std::int64_t begin,
                                std::int64_t end, const std::byte* const (&keys)[V],
                                F32 (&sums)[R][V]) {
  const float* q = args.q + row * args.dim;
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v) sums[r][v] = zero();
  for (std::int64_t d = begin; d < end; ++d) {
    F32 x[R];
    BUNDLE_UNROLL
    for (int r = 0; r < R; ++r) x[r] = lift<Kv>(set(q[r * args.dim + d]));
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      const F32 key = Kv::get(keys[v] + d * kTile * Kv::kBytes);
      BUNDLE_UNROLL
      for (int r = 0; r < R; ++r) sums[r][v] = fma(x[r], key, sums[r][v]);
    }
  }
}

/// The same over all dimensions, each group's sum times its positions' scales. `first` is the
/// number of the first vector of positions in the chunk.
template <typename Kv, int R, int V>
BUNDLE_INLINE void add_scaled_products(const AttentionArgs& args, std::int64_t row,
                                       std::int64_t first, const std::byte* const (&keys)[V],
                                       F32 (&sums)[R][V]) {
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v) sums[r][v] = zero();
  for (std::int64_t d = 0; d < args.dim; d += kScaleGroup) {
    F32 group[R][V];
    add_products<Kv, R, V>(args, row, d, min_of(args.dim, d + kScaleGroup), keys, group);
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      const std::int64_t vector = first + v;
      const std::byte* scales = args.k_tiles[vector / kVectorsPerTile] + kTile * args.dim +
                                d / kScaleGroup * kGroupScales +
                                vector % kVectorsPerTile * kLanes * 2;
      const F32 scale = load_bf16(scales);
      BUNDLE_UNROLL
      for (int r = 0; r < R; ++r) sums[r][v] = fma(group[r][v], scale, sums[r][v]);
    }
  }
}

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
  F32 sums[R][V];
  if constexpr (kScaled<Kv>) {
    add_scaled_products<Kv, R, V>(args, row, first, keys, sums);
  } else {
    add_products<Kv, R, V>(args, row, 0, args.dim, keys, sums);
  }
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v)
    store(args.scores + (row + r) * kChunk + (first + v) * kLanes, lower<Kv>(sums[r][v]));
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
    const std::byte* tile = args.v_tiles[p / kTile];
    const std::byte* values = tile + (p % kTile * args.value_stride + dim) * Kv::kBytes;
    [[maybe_unused]] const std::byte* scales = tile + kTile * args.value_stride + p % kTile * 2;
    [[maybe_unused]] F32 scale = zero();
    F32 w[R];
    BUNDLE_UNROLL
    for (int r = 0; r < R; ++r) w[r] = lift<Kv>(set(weights[r * kChunk + p]));
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v) {
      F32 value = Kv::get(values + v * kLanes * Kv::kBytes);
      if constexpr (kScaled<Kv>) {
        // Several vectors start at a group's border; a single one lies within a group.
        if (v * kLanes % kScaleGroup == 0)
          scale = set(read_bf16(scales + (dim + v * kLanes) / kScaleGroup * kGroupScales));
        value = mul(value, scale);
      }
      BUNDLE_UNROLL
      for (int r = 0; r < R; ++r) sums[r][v] = fma(w[r], value, sums[r][v]);
    }
  }
  BUNDLE_UNROLL
  for (int r = 0; r < R; ++r) BUNDLE_UNROLL
  for (int v = 0; v < V; ++v)
    store(args.out + (row + r) * args.value_dim + dim + v * kLanes, lower<Kv>(sums[r][v]));
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

void store_f32(const float* values, std::int64_t n, std::int64_t stride, std::byte* out,
               std::byte* /*scales*/) {
  auto* elements = reinterpret_cast<float*>(out);
  for (std::int64_t i = 0; i < n; ++i) elements[i * stride] = values[i];
}

/// Largest finite half: larger values stay finite, so that weight 0 times a value is 0.
constexpr float kHalfMax = 65504.0f;

void store_f16(const float* values, std::int64_t n, std::int64_t stride, std::byte* out,
               std::byte* /*scales*/) {
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

void store_bf16(const float* values, std::int64_t n, std::int64_t stride, std::byte* out,
                std::byte* /*scales*/) {
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

void store_f8(const float* values, std::int64_t n, std::int64_t stride, std::byte* out,
              std::byte* /*scales*/) {
  for (std::int64_t i = 0; i < n; ++i) out[i * stride] = static_cast<std::byte>(to_f8(values[i]));
}

/// As store_int8 of int8_group.h, which the instruction sets can not share.
std::uint16_t group_scale(float largest) {
  if (!(largest >= 1e-34f)) return 0;
  const float d = (largest < 3e38f ? largest : 3e38f) / 127.0f;
  std::uint32_t bits;
  __builtin_memcpy(&bits, &d, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0xFFFFu) >> 16);
}

void store_i8(const float* values, std::int64_t n, std::int64_t stride, std::byte* out,
              std::byte* scales) {
  const F32 most = set(127.0f);
  for (std::int64_t first = 0; first < n; first += kScaleGroup, scales += kGroupScales) {
    const std::int64_t end = min_of(n, first + kScaleGroup);
    F32 peak = zero();
    // NaN is the first operand, and is left out.
    for (std::int64_t i = first; i < end; i += kLanes)
      peak = max(abs(load_n(values + i, end - i)), peak);
    const std::uint16_t scale = group_scale(largest(peak));
    __builtin_memcpy(scales, &scale, sizeof scale);
    const F32 inverse = set(scale == 0 ? 0.0f : 1.0f / read_bf16(scales));
    for (std::int64_t i = first; i < end; i += kLanes) {
      const F32 level = mul(load_n(values + i, end - i), inverse);
      alignas(64) std::int32_t codes[kLanes];
      // NaN stays one, and becomes the smallest integer, whose last byte is 0.
      store_bytes(reinterpret_cast<std::byte*>(codes),
                  to_int(min(most, max(sub(zero(), most), level))));
      for (std::int64_t k = 0; k < min_of(kLanes, end - i); ++k)
        out[(i + k) * stride] = static_cast<std::byte>(codes[k]);
    }
  }
}

}  // namespace

void add_attention(KernelTable& table) {
  table.store[static_cast<int>(KvType::kF32)] = store_f32;
  table.store[static_cast<int>(KvType::kF16)] = store_f16;
  table.store[static_cast<int>(KvType::kBf16)] = store_bf16;
  table.store[static_cast<int>(KvType::kF8)] = store_f8;
  table.store[static_cast<int>(KvType::kI8)] = store_i8;
  table.attend[static_cast<int>(KvType::kF32)] = attend<KvF32>;
  table.attend[static_cast<int>(KvType::kF16)] = attend<KvF16>;
  table.attend[static_cast<int>(KvType::kBf16)] = attend<KvBf16>;
  table.attend[static_cast<int>(KvType::kF8)] = attend<KvF8>;
  table.attend[static_cast<int>(KvType::kI8)] = attend<KvI8>;
  table.merge_attention = merge_attention;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
