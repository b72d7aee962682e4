// Loops over single rows: norms, rotation, the gate, and the conversion of activations.
#include "runtime/kernels/cpu/simd/products.h"
#include "runtime/kernels/cpu/simd/table.h"
#include "runtime/kernels/cpu/simd/vec.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

/// Four running sums, whatever the row's length: the order of the sum is a function of n alone.
float sum_of_squares(const float* x, std::int64_t n) {
  F32 sums[4] = {zero(), zero(), zero(), zero()};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    BUNDLE_UNROLL
    for (int k = 0; k < 4; ++k) {
      const F32 v = load(x + i + k * kLanes);
      sums[k] = fma(v, v, sums[k]);
    }
  }
  for (; i < n; i += kLanes) {
    const F32 v = load_n(x + i, n - i);
    sums[0] = fma(v, v, sums[0]);
  }
  return sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  const float mean = sum_of_squares(x, n) / static_cast<float>(n);
  const F32 inverse = set(1.0f / __builtin_sqrtf(mean + eps));
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const F32 v = mul(mul(load_n(x + i, n - i), inverse), load_n(weight + i, n - i));
    store_n(out + i, v, n - i);
  }
}

void rotate_halves(float* head, const float* cos, const float* sin, std::int64_t half) {
  for (std::int64_t i = 0; i < half; i += kLanes) {
    const std::int64_t n = half - i;
    const F32 a = load_n(head + i, n);
    const F32 b = load_n(head + half + i, n);
    const F32 c = load_n(cos + i, n);
    const F32 s = load_n(sin + i, n);
    store_n(head + i, fnma(b, s, mul(a, c)), n);
    store_n(head + half + i, fma(a, s, mul(b, c)), n);
  }
}

void rotate_pairs(float* head, const float* cos, const float* sin, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = head[2 * i];
    const float b = head[2 * i + 1];
    head[2 * i] = a * cos[i] - b * sin[i];
    head[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void rotate(float* head, const float* cos, const float* sin, std::int64_t rotary_dim,
            bool interleaved) {
  if (interleaved) return rotate_pairs(head, cos, sin, rotary_dim / 2);
  rotate_halves(head, cos, sin, rotary_dim / 2);
}

void silu_mul(const float* gate, const float* up, std::int64_t n, float* out) {
  const F32 one = set(1.0f);
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const F32 g = load_n(gate + i, n - i);
    const F32 silu = div(g, add(one, exp(sub(zero(), g))));
    store_n(out + i, mul(silu, load_n(up + i, n - i)), n - i);
  }
}

/// Where a token's activations lie: token `index` of a tile of `tile` tokens that starts at `base`.
struct Slot {
  std::byte* base;
  std::int64_t tile;
  std::int64_t index;
};

/// 32 columns to integers of 15 bits, with their scale and sums.
void quantize_group(const float* x, bool sums16, std::byte* record, std::int64_t tile,
                    std::int64_t index) {
  constexpr int kVectors = 32 / kLanes;
  F32 v[kVectors];
  F32 peak = zero();
  BUNDLE_UNROLL
  for (int k = 0; k < kVectors; ++k) {
    v[k] = load(x + k * kLanes);
    peak = max(abs(v[k]), peak);
  }
  const float largest_value = largest(peak);
  // Below this the inverse would be infinite, and the values do not matter.
  const bool tiny = largest_value < 1e-36f;
  constexpr float kLargest = 127 << kLowBits;
  const float d = tiny ? 0.0f : largest_value / kLargest;
  const F32 inverse = set(tiny ? 0.0f : kLargest / largest_value);
  I32 sums[2] = {zero_int(), zero_int()};
  BUNDLE_UNROLL
  for (int k = 0; k < kVectors; ++k) {
    const I32 q = to_int(mul(v[k], inverse));
    store_activations(record, tile, index, k, q);
    sums[k / (kVectors / 2)] = add_int(sums[k / (kVectors / 2)], q);
  }
  auto* scales = reinterpret_cast<float*>(record + 64 * tile);
  auto* nsum = reinterpret_cast<std::int32_t*>(record + 68 * tile);
  auto* fsum = reinterpret_cast<float*>(record + 72 * tile);
  const std::int32_t total = sum_int(add_int(sums[0], sums[1]));
  scales[index] = d;
  nsum[index] = -total;
  fsum[index] = d * static_cast<float>(total);
  if (!sums16) return;
  auto* nsum16 = reinterpret_cast<std::int32_t*>(record + 76 * tile);
  auto* fsum16 = reinterpret_cast<float*>(record + 84 * tile);
  for (int h = 0; h < 2; ++h) {
    const std::int32_t part = sum_int(sums[h]);
    nsum16[h * tile + index] = -part;
    fsum16[h * tile + index] = d * static_cast<float>(part);
  }
}

void quantize_row(const float* x, const ActivationLayout& layout, const Slot& slot) {
  std::byte* record = slot.base;
  for (std::int64_t c = 0; c < layout.cols; c += 32) {
    quantize_group(x + c, layout.sums16, record, slot.tile, slot.index);
    record += slot.tile * layout.record_bytes();
  }
}

void interleave_f32_row(const float* x, const ActivationLayout& layout, const Slot& slot) {
  auto* out = reinterpret_cast<float*>(slot.base) + slot.index;
  for (std::int64_t c = 0; c < layout.cols; ++c) out[c * slot.tile] = x[c];
}

void interleave_lifted_row(const float* x, const ActivationLayout& layout, const Slot& slot) {
  auto* out = reinterpret_cast<float*>(slot.base) + slot.index;
  for (std::int64_t c = 0; c < layout.cols; ++c) out[c * slot.tile] = x[c] * kActivationLift;
}

/// Lanes rounded to bfloat16 in their low halves: to nearest, ties to even.
I32 round_to_bf16(F32 x) {
  const I32 bits = as_int(x);
  const I32 odd = and_int(shift_right<16>(bits), set_int(1));
  return shift_right<16>(add_int(add_int(bits, set_int(0x7FFF)), odd));
}

void interleave_bf16_row(const float* x, const ActivationLayout& layout, const Slot& slot) {
  auto* out = reinterpret_cast<std::uint32_t*>(slot.base) + slot.index;
  for (std::int64_t c = 0; c < layout.cols; c += kLanes) {
    const std::int64_t n = min_of(kLanes, layout.cols - c);
    alignas(64) std::uint32_t rounded[kLanes];
    store_bytes(reinterpret_cast<std::byte*>(rounded), round_to_bf16(load_n(x + c, n)));
    for (std::int64_t i = 0; i < n; i += 2, out += slot.tile)
      *out = rounded[i] | (rounded[i + 1] << 16);
  }
}

void prepare_row(const PrepareArgs& args, std::int64_t token, const Slot& slot) {
  const float* x = args.rows != nullptr ? args.rows[token] : args.x + token * args.x_stride;
  if (args.norm_weight != nullptr) {
    rms_norm(x, args.norm_weight, args.eps, args.layout.cols, args.scratch);
    x = args.scratch;
  }
  switch (args.layout.kind) {
    case ActivationKind::kInt15:
      return quantize_row(x, args.layout, slot);
    case ActivationKind::kBf16:
      return interleave_bf16_row(x, args.layout, slot);
    case ActivationKind::kF32:
      return interleave_f32_row(x, args.layout, slot);
    case ActivationKind::kLifted:
      return interleave_lifted_row(x, args.layout, slot);
  }
}

void prepare(const PrepareArgs& args) {
  const std::int64_t token_bytes = args.layout.token_bytes();
  for (std::int64_t first = 0; first < args.tokens;) {
    const std::int64_t tile = tile_tokens(args.tokens - first, kMaxTile);
    for (std::int64_t i = 0; i < tile; ++i)
      prepare_row(args, first + i, {args.out + first * token_bytes, tile, i});
    first += tile;
  }
}

}  // namespace

void add_rows(KernelTable& table) {
  table.prepare = prepare;
  table.rms_norm = rms_norm;
  table.rotate = rotate;
  table.silu_mul = silu_mul;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
