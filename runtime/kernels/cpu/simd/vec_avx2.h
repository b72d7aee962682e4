// AVX2, FMA and F16C. Included by vec.h alone.
#pragma once

namespace bundle::kernels::cpu::BUNDLE_ISA {

inline constexpr int kLanes = 8;
/// Largest token tile of the matrix kernels: half of the sixteen registers hold sums.
inline constexpr int kMaxTile = 8;

using F32 = __m256;
using I32 = __m256i;  // also 32 bytes

BUNDLE_INLINE F32 zero() { return _mm256_setzero_ps(); }
BUNDLE_INLINE F32 set(float x) { return _mm256_set1_ps(x); }
BUNDLE_INLINE F32 load(const float* p) { return _mm256_loadu_ps(p); }
BUNDLE_INLINE void store(float* p, F32 v) { _mm256_storeu_ps(p, v); }

/// All bits set in lanes below n.
BUNDLE_INLINE __m256i first_lanes(std::int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n > 8 ? 8 : n)), lane);
}
/// The first n lanes; the others are 0.
BUNDLE_INLINE F32 load_n(const float* p, std::int64_t n) {
  return _mm256_maskload_ps(p, first_lanes(n));
}
BUNDLE_INLINE void store_n(float* p, F32 v, std::int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), v);
}
/// Lanes [begin, end) of v, the others of `other`.
BUNDLE_INLINE F32 keep_lanes(F32 v, F32 other, std::int64_t begin, std::int64_t end) {
  const __m256i kept =
      _mm256_andnot_si256(first_lanes(begin < 0 ? 0 : begin), first_lanes(end < 0 ? 0 : end));
  return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(kept));
}

BUNDLE_INLINE F32 add(F32 a, F32 b) { return _mm256_add_ps(a, b); }
BUNDLE_INLINE F32 sub(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
BUNDLE_INLINE F32 mul(F32 a, F32 b) { return _mm256_mul_ps(a, b); }
BUNDLE_INLINE F32 div(F32 a, F32 b) { return _mm256_div_ps(a, b); }
BUNDLE_INLINE F32 min(F32 a, F32 b) { return _mm256_min_ps(a, b); }
BUNDLE_INLINE F32 max(F32 a, F32 b) { return _mm256_max_ps(a, b); }
BUNDLE_INLINE F32 abs(F32 a) { return _mm256_andnot_ps(set(-0.0f), a); }
/// a·b + c and c − a·b, rounded once.
BUNDLE_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }
BUNDLE_INLINE F32 fnma(F32 a, F32 b, F32 c) { return _mm256_fnmadd_ps(a, b, c); }
BUNDLE_INLINE F32 round(F32 a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
BUNDLE_INLINE float sum(F32 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
BUNDLE_INLINE float largest(F32 a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
/// a·2ⁿ for whole n in [−126, 127].
BUNDLE_INLINE F32 scale_by_power(F32 a, F32 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return mul(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
/// v, but 0 in the lanes where x < bound.
BUNDLE_INLINE F32 zero_below(F32 x, F32 bound, F32 v) {
  return _mm256_and_ps(_mm256_cmp_ps(x, bound, _CMP_NLT_UQ), v);
}

BUNDLE_INLINE F32 load_half(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
BUNDLE_INLINE F32 load_bf16(const std::byte* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
BUNDLE_INLINE void store_half(std::byte* p, F32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, 0));
}

BUNDLE_INLINE I32 load_bytes(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
BUNDLE_INLINE void store_bytes(std::byte* p, I32 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
BUNDLE_INLINE I32 zero_int() { return _mm256_setzero_si256(); }
BUNDLE_INLINE I32 set_int(std::int32_t x) { return _mm256_set1_epi32(x); }
BUNDLE_INLINE I32 add_int(I32 a, I32 b) { return _mm256_add_epi32(a, b); }
BUNDLE_INLINE I32 sub_int(I32 a, I32 b) { return _mm256_sub_epi32(a, b); }
BUNDLE_INLINE I32 and_int(I32 a, I32 b) { return _mm256_and_si256(a, b); }
BUNDLE_INLINE I32 xor_int(I32 a, I32 b) { return _mm256_xor_si256(a, b); }
template <int bits>
BUNDLE_INLINE I32 shift_left(I32 a) {
  return _mm256_slli_epi32(a, bits);
}
template <int bits>
BUNDLE_INLINE I32 shift_right(I32 a) {
  return _mm256_srli_epi32(a, bits);
}
template <int bits>
BUNDLE_INLINE I32 shift_right_signed(I32 a) {
  return _mm256_srai_epi32(a, bits);
}
/// (a & mask) | b.
BUNDLE_INLINE I32 and_or(I32 a, I32 mask, I32 b) {
  return _mm256_or_si256(_mm256_and_si256(a, mask), b);
}
BUNDLE_INLINE F32 to_float(I32 a) { return _mm256_cvtepi32_ps(a); }
BUNDLE_INLINE I32 to_int(F32 a) { return _mm256_cvtps_epi32(a); }
BUNDLE_INLINE std::int32_t sum_int(I32 a) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}
BUNDLE_INLINE I32 as_int(F32 a) { return _mm256_castps_si256(a); }
BUNDLE_INLINE F32 as_float(I32 a) { return _mm256_castsi256_ps(a); }
/// kLanes consecutive signed or unsigned bytes, widened.
BUNDLE_INLINE I32 load_i8_words(const std::byte* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
BUNDLE_INLINE I32 load_u8_words(const std::byte* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
/// table[code] for each byte of codes below 16.
BUNDLE_INLINE I32 look_up(const std::uint8_t* table, I32 codes) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), codes);
}

/// Codes of 8 bits are turned to signed levels.
inline constexpr bool kSignedBytes = true;

/// Bytes 0 and 2 of each lane as 16-bit words, unsigned or signed; then bytes 1 and 3.
BUNDLE_INLINE I32 even_words(I32 bytes) { return and_int(bytes, set_int(0x00FF00FF)); }
BUNDLE_INLINE I32 odd_words(I32 bytes) { return _mm256_srli_epi16(bytes, 8); }
BUNDLE_INLINE I32 even_signed_words(I32 bytes) {
  return _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
}
BUNDLE_INLINE I32 odd_signed_words(I32 bytes) { return _mm256_srai_epi16(bytes, 8); }

/// kLanes values that fit 16 bits, of each four 0 and 2 before 1 and 3.
BUNDLE_INLINE void store_even_odd_words(std::byte* p, I32 v) {
  const __m256i ordered = _mm256_shuffle_epi32(v, 0xD8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi32(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

/// sum[lane] += Σ words[2 lane + i] · x[i] with the two words at x. The empty assembler line keeps
/// the compiler from taking many products first, for which there are no registers, then adding.
BUNDLE_INLINE void dot_words(I32& sum, I32 words, const std::int32_t* x) {
  sum = add_int(sum, _mm256_madd_epi16(words, set_int(*x)));
  asm("" : "+x"(sum));
}

/// What scaled_f8 multiplies with.
inline constexpr float kF8Scale = 0x1p-120f;

/// The lanes' top bytes, 8-bit floats (e4m3), as floats times kF8Scale; the bytes below do not
/// matter. Exponent and mantissa are shifted into a float's fields, subnormals included. The codes
/// of NaN come out as 480 would.
template <bool>
BUNDLE_INLINE F32 scaled_f8(I32 top) {
  return as_float(
      and_int(shift_right_signed<4>(top), set_int(static_cast<std::int32_t>(0x87F00000u))));
}
/// Whether scaled_f8<true> is needed for any of the bytes: never here.
BUNDLE_INLINE bool any_tiny_f8(I32 /*codes*/) { return false; }

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
