// Rotary embedding and attention of the reference device.
#pragma once

#include <span>

#include "runtime/kernels/reference/plain_cache.h"

namespace bundle::kernels::reference {

/// x / sqrt(mean(x²) + eps) · weight over n elements; `out` may be x.
void rms_norm_row(const float* x, const float* weight, std::int64_t n, float eps, float* out);

/// Device::rope_and_store.
void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                    Vector k_norm, float eps, std::span<const Slice> slices, PlainCache& cache,
                    std::int64_t layer);

/// Device::attention.
void attend(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
            const PlainCache& cache, std::int64_t layer, Tensor out);

}  // namespace bundle::kernels::reference
