// What libbundle_cuda.so exports: one function, by a C name.
#pragma once

#include "runtime/kernels/cuda/driver/collectives.h"
#include "runtime/kernels/cuda/driver/driver.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// Raised whenever a struct or table that crosses the border changes: the server refuses another.
inline constexpr int kBackendVersion = 5;

/// The oldest driver that runs CUDA 13 code: 580, which calls itself 13000.
inline constexpr int kLeastDriverVersion = 13000;

struct Backend {
  int version;
  /// CUDA version that the installed driver supports (13000 is 13.0), 0 without a driver.
  int (*driver_version)();
  /// GPUs that this process may use; 0 with the reason in `problem` (at most `size` bytes).
  int (*device_count)(char* problem, std::size_t size);
  /// Null with the reason in `problem`. Owned by the caller.
  Driver* (*open)(int device, char* problem, std::size_t size);
  const Ops* ops;
  const CollectiveTable* collectives;
};

/// The name of the exported function, and its type.
inline constexpr const char* kBackendSymbol = "bundle_cuda_backend";
using BackendFunction = const Backend* (*)();

}  // namespace bundle::kernels::cuda
