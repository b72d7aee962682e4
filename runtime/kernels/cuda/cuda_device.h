// The CUDA backend.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/kernels/cuda/driver/collectives.h"
#include "runtime/kernels/cuda/driver/driver.h"
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

struct DeviceOptions {
  /// Decode steps of a shape that was seen before are replayed as a graph.
  bool graphs = true;
  /// A row gives the same alone and in a crowd, to the bit: products of many rows then do without
  /// tensor cores, and take several times as long.
  bool deterministic = false;
};

/// A device over any driver and the operations that go with it. `collectives`, which must outlive
/// it, is how it finds other ranks' devices; without, it has none.
Result<std::unique_ptr<Device>> make_device(std::unique_ptr<Driver> driver, const Ops& ops,
                                            const DeviceOptions& options = {},
                                            const CollectiveTable* collectives = nullptr);

}  // namespace bundle::kernels::cuda
