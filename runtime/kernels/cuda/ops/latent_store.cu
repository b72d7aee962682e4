// The rotation of queries for latent attention, and the write of latents to the cache: a warp a
// head of a row, and one more for the row's latent.
#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/reduce.h"
#include "runtime/kernels/cuda/ops/turn.h"

namespace bundle::kernels::cuda {
namespace {

constexpr int kWarps = 4;

/// Calls put(index, value) with the rope_dim rotated elements that begin at `from`.
template <typename Put>
BUNDLE_DEVICE void rotate(const LatentStoreArgs& a, Global<const float> from, int position,
                          const Put& put) {
  const int half = a.rope_dim / 2;
  for (int i = lane_index(); i < half; i += kWarp) {
    const int first = a.interleaved ? 2 * i : i;
    const int second = a.interleaved ? 2 * i + 1 : i + half;
    const float x = from[first];
    const float y = from[second];
    const Turn turn = turn_of(static_cast<float>(position) * Global<const float>(a.inv_freq)[i]);
    const float c = turn.cosine * a.scale;
    const float s = turn.sine * a.scale;
    put(first, x * c - y * s);
    put(second, y * c + x * s);
  }
}

template <typename Element>
BUNDLE_DEVICE void store_latent(const LatentStoreArgs& a, std::int64_t row, int position) {
  const Global<const float> latent(a.latent + row * (a.rank + a.rope_dim));
  const std::int64_t at = cache_index(a.cache, a.map, Global<const std::int32_t>(a.map.tables)[row],
                                      position, 0, false);
  float squares = 0.0f;
  for (int i = lane_index(); i < a.rank; i += kWarp) {
    squares = fused(latent[i], latent[i], squares);
  }
  const float factor = rsqrt_fast(sum_lanes(squares) / static_cast<float>(a.rank) + a.eps);
  for (int i = lane_index(); i < a.rank; i += kWarp) {
    Element::store(a.cache, at + i, latent[i] * factor * Global<const float>(a.norm)[i]);
  }
  rotate(a, Global<const float>(latent.at(a.rank)), position,
         [&](int i, float value) { Element::store(a.cache, at + a.rank + i, value); });
  for (int i = a.cache.head_dim + lane_index(); i < a.cache.stride; i += kWarp) {
    Element::store(a.cache, at + i, 0.0f);
  }
}

template <typename Element>
BUNDLE_KERNEL(kWarps* kWarp, 1)
latent_store_heads(const LatentStoreArgs a) {
  allow_next();
  wait_for_previous();
  const std::int64_t index = std::int64_t{block_x()} * kWarps + warp_index();
  const std::int64_t row = index / (a.heads + 1);
  const int head = static_cast<int>(index % (a.heads + 1));
  if (row >= a.rows) return;
  const int position = Global<const std::int32_t>(a.map.positions)[row];
  if (position < 0) return;
  if (head == a.heads) return store_latent<Element>(a, row, position);
  float* turned = a.q + (row * a.heads + head) * (a.nope_dim + a.rope_dim) + a.nope_dim;
  const Global<float> to(turned);
  rotate(a, Global<const float>(turned), position, [&](int i, float value) { to.put(i, value); });
}

}  // namespace

void latent_store(Stream stream, const LatentStoreArgs& args) {
  const std::int64_t warps = args.rows * (args.heads + 1);
  if (warps == 0) return;
  const LaunchGrid grid{.x = static_cast<unsigned>((warps + kWarps - 1) / kWarps),
                        .threads = kWarps * kWarp};
  with_cache_type(args.cache.type, [&](auto element) {
    launch(stream, "latent_store_heads", latent_store_heads<decltype(element)>, grid, args);
  });
}

}  // namespace bundle::kernels::cuda
