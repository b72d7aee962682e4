// What stands in NCCL's place for emulated GPUs, whose ranks are threads of one process or
// processes of one machine. Work runs when it is queued, and waits there for the other ranks.
#pragma once

#include "runtime/kernels/cuda/driver/collectives.h"

namespace bundle::kernels::cuda {

extern const CollectiveTable kEmulatedCollectives;

}  // namespace bundle::kernels::cuda
