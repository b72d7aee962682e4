// Vectors of floats and of dot products, one set of names for each instruction set. Every source of
// this folder is written against these names and compiled once per instruction set, each time in a
// namespace of its own (BUNDLE_ISA): so no inline function of one set can replace another's at link
// time. For the same reason these sources use nothing of the standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <immintrin.h>

#define BUNDLE_INLINE [[gnu::always_inline]] static inline
#define BUNDLE_UNROLL _Pragma("GCC unroll 16")

#ifdef __AVX512F__
#include "runtime/kernels/cpu/simd/vec_avx512.h"
#else
#include "runtime/kernels/cpu/simd/vec_avx2.h"
#endif

namespace bundle::kernels::cpu::BUNDLE_ISA {

BUNDLE_INLINE std::int64_t min_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
BUNDLE_INLINE std::int64_t max_of(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

BUNDLE_INLINE void prefetch_line(const std::byte* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

/// eˣ within 2 units in the last place; exactly 0 below −87.3, −∞ included.
BUNDLE_INLINE F32 exp(F32 x) {
  const F32 lowest = set(-87.33654f);
  const F32 bounded = min(max(x, lowest), set(88.37626f));
  const F32 n = round(mul(bounded, set(1.44269504088896341f)));
  // x − n·ln 2 with ln 2 in two parts, the first of few bits: exact.
  F32 r = fnma(n, set(0.693359375f), bounded);
  r = fnma(n, set(-2.12194440e-4f), r);
  F32 p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  p = add(fma(mul(p, r), r, r), set(1.0f));
  return zero_below(x, lowest, scale_by_power(p, n));
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
