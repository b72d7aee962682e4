// Attention of single rows on tensor cores. See ops.h for what it computes.
#pragma once

#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// Queues the spans of up to 65535 rows over a cache that is not of floats: results of rows of one
/// span, partial results of others.
void attend_groups(Stream stream, const AttentionArgs& args);

}  // namespace bundle::kernels::cuda
