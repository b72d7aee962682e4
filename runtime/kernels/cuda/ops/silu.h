// The gate of a feed-forward layer.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

/// x / (1 + exp(-x)). exp overflows to infinity for x below -88, and a quotient by infinity is 0.
BUNDLE_DEVICE float silu(float x) { return x / (1.0f + exp_fast(-x)); }

}  // namespace bundle::kernels::cuda
