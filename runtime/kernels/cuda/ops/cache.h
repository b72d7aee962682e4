// A lane's view of the paged cache: eight neighbouring elements of one head at one position.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"
#include "runtime/kernels/cuda/ops/float8.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

inline constexpr int kCacheColumns = 8;

/// Element index of a head's key (or value) at token `slot` of `block`.
BUNDLE_DEVICE std::int64_t cache_index(const CacheLayer& cache, std::int64_t block, int slot,
                                       int head, bool value) {
  const std::int64_t of_head = (block * cache.vectors + (value ? 1 : 0)) * cache.kv_heads + head;
  return (of_head * cache.block_tokens + slot) * cache.stride;
}

/// Element index at `position` of the sequence whose block table starts at `table`.
BUNDLE_DEVICE std::int64_t cache_index(const CacheLayer& cache, const RowMap& map,
                                       std::int64_t table, int position, int head, bool value) {
  const std::int64_t block =
      Global<const std::int32_t>(map.blocks)[table + position / cache.block_tokens];
  return cache_index(cache, block, position % cache.block_tokens, head, value);
}

/// How elements of the cache are read and written: one, two or eight at a time.
template <CacheType kType>
struct CacheElement {
  static constexpr bool kBrain = kType == CacheType::kBF16;
  using Stored = std::uint16_t;
  using Loaded = Words4;  // eight of them

  BUNDLE_DEVICE static Loaded load(const CacheLayer& cache, std::int64_t at) {
    return Global<const Stored>(static_cast<const Stored*>(cache.data)).template load<Words4>(at);
  }
  BUNDLE_DEVICE static float widen(const Loaded& loaded, int i) {
    const auto bits = static_cast<Stored>(loaded.v[i / 2] >> (i % 2 * 16));
    return kBrain ? bf16_float(bits) : half_float(bits);
  }
  using LoadedPair = std::uint32_t;
  BUNDLE_DEVICE static LoadedPair load_pair(const CacheLayer& cache, std::int64_t at) {
    return Global<const Stored>(static_cast<const Stored*>(cache.data))
        .template load<LoadedPair>(at);
  }
  BUNDLE_DEVICE static float widen_pair(const LoadedPair& loaded, int i) {
    const auto bits = static_cast<Stored>(loaded >> (i * 16));
    return kBrain ? bf16_float(bits) : half_float(bits);
  }
  BUNDLE_DEVICE static void store(const CacheLayer& cache, std::int64_t at, float value) {
    Global<Stored>(static_cast<Stored*>(cache.data))
        .put(at, kBrain ? float_bf16(value) : float_half(value));
  }
};

template <>
struct CacheElement<CacheType::kF8> {
  static constexpr bool kBrain = false;
  using Loaded = Words2;
  using LoadedPair = std::uint16_t;

  BUNDLE_DEVICE static Global<const std::uint8_t> data(const CacheLayer& cache) {
    return Global<const std::uint8_t>(static_cast<const std::uint8_t*>(cache.data));
  }
  BUNDLE_DEVICE static Loaded load(const CacheLayer& cache, std::int64_t at) {
    return data(cache).template load<Words2>(at);
  }
  BUNDLE_DEVICE static float widen(const Loaded& loaded, int i) {
    return f8_pair(static_cast<std::uint16_t>(loaded.v[i / 4] >> (i / 2 % 2 * 16))).v[i % 2];
  }
  BUNDLE_DEVICE static LoadedPair load_pair(const CacheLayer& cache, std::int64_t at) {
    return data(cache).template load<LoadedPair>(at);
  }
  BUNDLE_DEVICE static float widen_pair(const LoadedPair& loaded, int i) {
    return f8_pair(loaded).v[i];
  }
  BUNDLE_DEVICE static void store(const CacheLayer& cache, std::int64_t at, float value) {
    Global<std::uint8_t>(static_cast<std::uint8_t*>(cache.data)).put(at, float_f8(value));
  }
};

template <>
struct CacheElement<CacheType::kF32> {
  static constexpr bool kBrain = false;
  struct Loaded {
    Floats4 low, high;
  };

  BUNDLE_DEVICE static Loaded load(const CacheLayer& cache, std::int64_t at) {
    const Global<const float> data(static_cast<const float*>(cache.data));
    return {data.template load<Floats4>(at), data.template load<Floats4>(at + 4)};
  }
  BUNDLE_DEVICE static float widen(const Loaded& loaded, int i) {
    return i < 4 ? loaded.low.v[i] : loaded.high.v[i - 4];
  }
  using LoadedPair = Pack<float, 2>;
  BUNDLE_DEVICE static LoadedPair load_pair(const CacheLayer& cache, std::int64_t at) {
    return Global<const float>(static_cast<const float*>(cache.data)).template load<LoadedPair>(at);
  }
  BUNDLE_DEVICE static float widen_pair(const LoadedPair& loaded, int i) { return loaded.v[i]; }
  BUNDLE_DEVICE static void store(const CacheLayer& cache, std::int64_t at, float value) {
    Global<float>(static_cast<float*>(cache.data)).put(at, value);
  }
};

/// Calls body(CacheElement<type>()).
template <typename Body>
void with_cache_type(CacheType type, const Body& body) {
  switch (type) {
    case CacheType::kF32:
      return body(CacheElement<CacheType::kF32>());
    case CacheType::kF16:
      return body(CacheElement<CacheType::kF16>());
    case CacheType::kBF16:
      return body(CacheElement<CacheType::kBF16>());
    case CacheType::kF8:
      return body(CacheElement<CacheType::kF8>());
  }
}

}  // namespace bundle::kernels::cuda
