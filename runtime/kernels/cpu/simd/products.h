// Integer products of quantized weights and activations: what both ways of taking them share.
#pragma once

#include "runtime/kernels/cpu/activations.h"
#include "runtime/kernels/cpu/simd/vec.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

/// Scale and minimum of one or two groups of columns, for kLanes rows.
template <int groups>
struct ColumnScales {
  F32 scale[groups];
  F32 min[groups];
};

/// T tokens' activations of 32 columns, as activations.h lays them out.
struct ColumnActivations {
  const std::int32_t* q;     // bytes or words, 8 T or 16 T
  const float* dx;           // (T)
  const std::int32_t* nsum;  // (groups, T)
  const float* fsum;         // (groups, T)

  BUNDLE_INLINE ColumnActivations at(const std::byte* record, int tokens, bool halves) {
    return {reinterpret_cast<const std::int32_t*>(record),
            reinterpret_cast<const float*>(record + 64 * tokens),
            reinterpret_cast<const std::int32_t*>(record + (halves ? 76 : 68) * tokens),
            reinterpret_cast<const float*>(record + (halves ? 84 : 72) * tokens)};
  }
};

}  // namespace bundle::kernels::cpu::BUNDLE_ISA

#ifdef __AVX512VNNI__
#include "runtime/kernels/cpu/simd/products_bytes.h"
#else
#include "runtime/kernels/cpu/simd/products_words.h"
#endif
