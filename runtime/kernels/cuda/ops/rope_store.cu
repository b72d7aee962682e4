// Norms of heads, rotation, and the write of keys and values, in one pass: a warp a head.
#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/turn.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;

/// One head of one row: q stays where it is, k and v go to the cache.
template <typename Element>
struct Head {
  const RopeStoreArgs& a;
  Global<float> values;  // (head_dim)
  std::int64_t target;   // in the cache; -1: in place

  BUNDLE_DEVICE void put(int i, float value) const {
    if (target < 0) {
      values.put(i, value);
    } else {
      Element::store(a.cache, target + i, value);
    }
  }

  /// 1, or what RMSNorm multiplies the head by.
  BUNDLE_DEVICE float factor(const float* norm) const {
    if (norm == nullptr) return 1.0f;
    float squares = 0.0f;
    for (int i = lane_index(); i < a.cache.head_dim; i += kWarp) {
      squares = fused(values[i], values[i], squares);
    }
    const float sum = sum_lanes(squares);
    sync_warp();  // elements change owner from here on
    return rsqrt_fast(sum / static_cast<float>(a.cache.head_dim) + a.eps);
  }

  BUNDLE_DEVICE float normed(int i, float factor, const float* norm) const {
    const float value = values[i];
    return norm == nullptr ? value : value * factor * Global<const float>(norm)[i];
  }

  BUNDLE_DEVICE void rotate(const float* norm, float position) const {
    const float by = factor(norm);
    const int half = a.rotary_dim / 2;
    for (int i = lane_index(); i < half; i += kWarp) {
      const int first = a.interleaved ? 2 * i : i;
      const int second = a.interleaved ? 2 * i + 1 : i + half;
      const float x = normed(first, by, norm);
      const float y = normed(second, by, norm);
      const Turn turn = turn_of(position * Global<const float>(a.inv_freq)[i]);
      const float c = turn.cosine * a.scale;
      const float s = turn.sine * a.scale;
      put(first, x * c - y * s);
      put(second, y * c + x * s);
    }
    for (int i = a.rotary_dim + lane_index(); i < a.cache.head_dim; i += kWarp) {
      put(i, normed(i, by, norm));
    }
  }

  BUNDLE_DEVICE void copy() const {
    for (int i = lane_index(); i < a.cache.head_dim; i += kWarp) put(i, values[i]);
  }

  BUNDLE_DEVICE void pad() const {
    for (int i = a.cache.head_dim + lane_index(); i < a.cache.stride; i += kWarp) put(i, 0.0f);
  }
};

template <typename Element>
BUNDLE_KERNEL(kWarps* kWarp, 1)
rope_store_heads(const RopeStoreArgs a) {
  allow_next();
  wait_for_previous();
  const int heads = a.heads + 2 * a.cache.kv_heads;
  const std::int64_t index = std::int64_t{block_x()} * kWarps + warp_index();
  if (index >= a.rows * heads) return;
  const std::int64_t row = index / heads;
  const int head = static_cast<int>(index % heads);
  const int position = Global<const std::int32_t>(a.map.positions)[row];
  if (position < 0) return;
  Head<Element> h{a, Global<float>(a.qkv + index * a.cache.head_dim), -1};
  if (head < a.heads) return h.rotate(a.q_norm, static_cast<float>(position));
  const bool value = head >= a.heads + a.cache.kv_heads;
  const int kv_head = head - a.heads - (value ? a.cache.kv_heads : 0);
  h.target = cache_index(a.cache, a.map, Global<const std::int32_t>(a.map.tables)[row], position,
                         kv_head, value);
  if (value) {
    h.copy();
  } else {
    h.rotate(a.k_norm, static_cast<float>(position));
  }
  h.pad();
}

}  // namespace

void rope_store(Stream stream, const RopeStoreArgs& args) {
  const std::int64_t heads = args.rows * (args.heads + 2 * args.cache.kv_heads);
  if (heads == 0) return;
  const LaunchGrid grid{.x = static_cast<unsigned>((heads + kWarps - 1) / kWarps),
                        .threads = kWarps * kWarp};
  with_cache_type(args.cache.type, [&](auto element) {
    launch(stream, "rope_store_heads", rope_store_heads<decltype(element)>, grid, args);
  });
}

}  // namespace bundle::kernels::cuda
