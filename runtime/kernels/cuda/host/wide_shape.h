// How matmul_wide takes a product: tokens a block, and splits of its columns. Of plain types alone,
// so that programs without the rest of the host code choose as it does.
#pragma once

#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// Columns of cut_rows' result are a multiple of this.
inline constexpr std::int64_t kWideColumns = 64;

struct WideShape {
  int tile;
  int splits;
};

/// For a GPU with so many multiprocessors, and activations in one part or two.
WideShape choose_wide(const MatmulArgs& product, int parts, int multiprocessors);

}  // namespace bundle::kernels::cuda
