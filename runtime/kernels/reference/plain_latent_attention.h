// Latent attention of the reference device: the batch's rows over the cache.
#pragma once

#include <span>

#include "runtime/kernels/reference/plain_cache.h"

namespace bundle::kernels::reference {

/// Device::latent_rope_and_store.
void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape, const RopeTable& rope,
                           Vector norm, float eps, std::span<const Slice> slices, PlainCache& cache,
                           std::int64_t layer);

/// Device::latent_attention.
void latent_attend(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                   std::span<const Slice> slices, const PlainCache& cache, std::int64_t layer,
                   Tensor out);

}  // namespace bundle::kernels::reference
