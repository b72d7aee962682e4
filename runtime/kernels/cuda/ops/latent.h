// What both kernels of latent attention share.
#pragma once

#include "runtime/kernels/cuda/ops/cache.h"
#include "runtime/kernels/cuda/ops/spans.h"

namespace bundle::kernels::cuda {

/// Elements c and c + 1 (c even) of a head's query for latents: the absorbed part, then the rotated
/// one. Zeros for heads and elements that there are none of. Without branches around the loads, so
/// that many can be under way.
BUNDLE_DEVICE Floats2 latent_query(const LatentAttentionArgs& a, std::int64_t row, int head,
                                   int c) {
  const std::int64_t index = row * a.heads + head;
  const float* absorbed = a.query + index * a.rank + c;
  const float* turned = a.q + index * (a.nope_dim + a.rope_dim) + a.nope_dim + c - a.rank;
  const Global<const float> from(c < a.rank ? absorbed : turned);
  const bool there = head < a.heads && c < a.cache.head_dim;
  return {there ? from[0] : 0.0f, there ? from[1] : 0.0f};
}

/// Where a span's part of (row, head) goes: largest score, sum, rank values.
BUNDLE_DEVICE Global<float> latent_part(const LatentAttentionArgs& a, std::int64_t row, int head,
                                        int span) {
  return Global<float>(a.partial +
                       partial_at(row, a.heads, head, span, a.rank, a.max_positions, kLatentParts));
}

/// Largest rank that latent_tiles takes.
inline constexpr int kMostTiledRank = 512;

/// Queues latent attention's spans (all but their meeting) on tensor cores, for a BF16 cache and a
/// rank of up to kMostTiledRank; at most 65535 rows.
void latent_tiles(Stream stream, const LatentAttentionArgs& args);

}  // namespace bundle::kernels::cuda
