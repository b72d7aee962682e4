// AVX-512 (F, BW, VL, DQ, VNNI). Included by vec.h alone.
#pragma once

namespace bundle::kernels::cpu::BUNDLE_ISA {

inline constexpr int kLanes = 16;
/// Largest token tile of the matrix kernels.
inline constexpr int kMaxTile = 8;

using F32 = __m512;
using I32 = __m512i;  // also 64 bytes

BUNDLE_INLINE F32 zero() { return _mm512_setzero_ps(); }
BUNDLE_INLINE F32 set(float x) { return _mm512_set1_ps(x); }
BUNDLE_INLINE F32 load(const float* p) { return _mm512_loadu_ps(p); }
BUNDLE_INLINE void store(float* p, F32 v) { _mm512_storeu_ps(p, v); }

BUNDLE_INLINE __mmask16 first_lanes(std::int64_t n) {
  return n >= 16 ? 0xFFFF : n <= 0 ? 0 : static_cast<__mmask16>((1u << n) - 1);
}
/// The first n lanes; the others are 0.
BUNDLE_INLINE F32 load_n(const float* p, std::int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
BUNDLE_INLINE void store_n(float* p, F32 v, std::int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
/// Lanes [begin, end) of v, the others of `other`.
BUNDLE_INLINE F32 keep_lanes(F32 v, F32 other, std::int64_t begin, std::int64_t end) {
  return _mm512_mask_blend_ps(first_lanes(end) & static_cast<__mmask16>(~first_lanes(begin)), other,
                              v);
}

BUNDLE_INLINE F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
BUNDLE_INLINE F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
BUNDLE_INLINE F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
BUNDLE_INLINE F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
BUNDLE_INLINE F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
BUNDLE_INLINE F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
BUNDLE_INLINE F32 abs(F32 a) { return _mm512_abs_ps(a); }
/// a·b + c and c − a·b, rounded once.
BUNDLE_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
BUNDLE_INLINE F32 fnma(F32 a, F32 b, F32 c) { return _mm512_fnmadd_ps(a, b, c); }
BUNDLE_INLINE F32 round(F32 a) { return _mm512_roundscale_ps(a, 0); }
BUNDLE_INLINE float sum(F32 a) { return _mm512_reduce_add_ps(a); }
BUNDLE_INLINE float largest(F32 a) { return _mm512_reduce_max_ps(a); }
/// a·2ⁿ for whole n in [−126, 127].
BUNDLE_INLINE F32 scale_by_power(F32 a, F32 n) { return _mm512_scalef_ps(a, n); }
/// v, but 0 in the lanes where x < bound.
BUNDLE_INLINE F32 zero_below(F32 x, F32 bound, F32 v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLT_UQ), v);
}

BUNDLE_INLINE F32 load_half(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
BUNDLE_INLINE F32 load_bf16(const std::byte* p) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
}
BUNDLE_INLINE void store_half(std::byte* p, F32 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, 0));
}

BUNDLE_INLINE I32 load_bytes(const std::byte* p) { return _mm512_loadu_si512(p); }
BUNDLE_INLINE void store_bytes(std::byte* p, I32 v) { _mm512_storeu_si512(p, v); }
BUNDLE_INLINE I32 zero_int() { return _mm512_setzero_si512(); }
BUNDLE_INLINE I32 set_int(std::int32_t x) { return _mm512_set1_epi32(x); }
BUNDLE_INLINE I32 add_int(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
BUNDLE_INLINE I32 sub_int(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
BUNDLE_INLINE I32 and_int(I32 a, I32 b) { return _mm512_and_si512(a, b); }
BUNDLE_INLINE I32 xor_int(I32 a, I32 b) { return _mm512_xor_si512(a, b); }
template <int bits>
BUNDLE_INLINE I32 shift_left(I32 a) {
  return _mm512_slli_epi32(a, bits);
}
template <int bits>
BUNDLE_INLINE I32 shift_right(I32 a) {
  return _mm512_srli_epi32(a, bits);
}
template <int bits>
BUNDLE_INLINE I32 shift_right_signed(I32 a) {
  return _mm512_srai_epi32(a, bits);
}
/// (a & mask) | b.
BUNDLE_INLINE I32 and_or(I32 a, I32 mask, I32 b) {
  return _mm512_ternarylogic_epi32(a, mask, b, 0xEA);
}
BUNDLE_INLINE F32 to_float(I32 a) { return _mm512_cvtepi32_ps(a); }
BUNDLE_INLINE I32 to_int(F32 a) { return _mm512_cvtps_epi32(a); }
BUNDLE_INLINE std::int32_t sum_int(I32 a) { return _mm512_reduce_add_epi32(a); }
BUNDLE_INLINE I32 as_int(F32 a) { return _mm512_castps_si512(a); }
BUNDLE_INLINE F32 as_float(I32 a) { return _mm512_castsi512_ps(a); }
/// kLanes consecutive signed or unsigned bytes, widened.
BUNDLE_INLINE I32 load_i8_words(const std::byte* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
BUNDLE_INLINE I32 load_u8_words(const std::byte* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
/// Narrows each lane to a signed byte, saturating.
BUNDLE_INLINE void store_i8(std::byte* p, I32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(v));
}
/// table[code] for each byte of codes below 16.
BUNDLE_INLINE I32 look_up(const std::uint8_t* table, I32 codes) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), codes);
}

/// Codes of 8 bits stay unsigned with an offset of 128.
inline constexpr bool kSignedBytes = false;

/// sum[lane] += Σ codes[4 lane + i] · x[i] with the four signed bytes at x. The assembler form
/// takes x straight from memory; the compiler would load it to a register first.
BUNDLE_INLINE void dot_bytes(I32& sum, I32 codes, const std::int32_t* x) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*x));
}

/// What scaled_f8 multiplies with.
inline constexpr float kF8Scale = 0x1p-8f;

/// The lanes' top bytes, 8-bit floats (e4m3), as floats times kF8Scale; the bytes below do not
/// matter. The codes of NaN come out as 480 would. No float here is subnormal: Intel's processors
/// take some 150 cycles for a product with one. So the exponent e becomes 112 + e, which its four
/// bits and a mask make, and where it is 0 (zeros and e4m3's own subnormals; only with `tiny` is it
/// looked for), the leading one that a float implies is taken off again.
template <bool tiny>
BUNDLE_INLINE F32 scaled_f8(I32 top) {
  const I32 fields = set_int(static_cast<std::int32_t>(0x87F00000u));
  const F32 value = as_float(and_or(shift_right_signed<4>(top), fields, set_int(0x38000000)));
  if constexpr (!tiny) return value;
  const I32 sign = set_int(static_cast<std::int32_t>(0x80000000u));
  const F32 leading = as_float(and_or(top, sign, as_int(set(0x1p-14f))));
  const __mmask16 lanes = _mm512_testn_epi32_mask(top, set_int(0x78000000));
  return _mm512_mask_fmsub_ps(value, lanes, set(2.0f), leading);
}
/// Whether scaled_f8<true> is needed for any of the bytes.
BUNDLE_INLINE bool any_tiny_f8(I32 codes) {
  return _mm512_testn_epi8_mask(codes, set_int(0x78787878)) != 0;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
