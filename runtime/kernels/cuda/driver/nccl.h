// NCCL as groups of ranks. Its library is no part of the backend's: it is loaded when a group is
// formed, from the backend's own folder or from where $BUNDLE_NCCL_LIBRARY says.
#pragma once

#include "runtime/kernels/cuda/driver/collectives.h"

namespace bundle::kernels::cuda {

/// The oldest version whose collectives CUDA graphs may hold in all the ways used here.
inline constexpr int kLeastNcclVersion = 22700;

extern const CollectiveTable kNcclCollectives;

}  // namespace bundle::kernels::cuda
