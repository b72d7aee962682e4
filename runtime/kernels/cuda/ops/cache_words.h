// The cache's numbers as tensor cores take them: pairs of 16-bit floats, one type a cache. Those of
// 8 bits become halves, which hold them exactly.
#pragma once

#include <type_traits>

#include "runtime/kernels/cuda/lane/lane.h"
#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/cut.h"

namespace bundle::kernels::cuda {

template <CacheType kType>
struct CacheWords {
  static_assert(kType != CacheType::kF32);
  static constexpr bool kBrain = kType == CacheType::kBF16;
  using Loaded = typename CacheElement<kType>::Loaded;  // eight elements

  /// Eight elements from `at` on, or none.
  BUNDLE_DEVICE static void load_if(bool there, const CacheLayer& cache, std::int64_t at,
                                    Loaded& to) {
    using Stored = std::conditional_t<kType == CacheType::kF8, std::uint8_t, std::uint16_t>;
    cuda::load_if(there, Global<const Stored>(static_cast<const Stored*>(cache.data)), at, to);
  }
  /// Elements 2i and 2i + 1, the first in the lower half.
  BUNDLE_DEVICE static std::uint32_t word(const Loaded& loaded, int i) {
    if constexpr (kType == CacheType::kF8) {
      return f8_halves(static_cast<std::uint16_t>(loaded.v[i / 2] >> (i % 2 * 16)));
    } else {
      return loaded.v[i];
    }
  }
  /// What is multiplied with those.
  BUNDLE_DEVICE static Cut cut(float a, float b) {
    return kBrain ? cuda::cut(a, b) : cut_halves(a, b);
  }
  BUNDLE_DEVICE static void multiply(float (&d)[4], const std::uint32_t (&a)[4],
                                     const std::uint32_t (&b)[2]) {
    if constexpr (kBrain) {
      mma_bf16(d, a, b);
    } else {
      mma_f16(d, a, b);
    }
  }
};

}  // namespace bundle::kernels::cuda
