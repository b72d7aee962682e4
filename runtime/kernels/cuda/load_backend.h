// Finds the GPU's driver and the CUDA backend's shared object, and says what is missing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "runtime/kernels/cuda/cuda_device.h"

namespace bundle::kernels::cuda {

/// Where things lie; empty members are looked for.
struct BackendPaths {
  /// libbundle_cuda.so. Looked for beside the program, in ../lib, and where
  /// $BUNDLE_CUDA_BACKEND says.
  Path backend = {};
  /// The host's folder with libcuda.so.1: drivers are the one thing taken from the host. Looked for
  /// where distributions, containers and WSL put it, and where $BUNDLE_CUDA_DRIVER_DIR says.
  Path driver_folder = {};
};

/// One GPU as a person wants to know it.
struct GpuFacts {
  std::string name;
  int sm = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t free_bytes = 0;
};

/// What a machine offers. `problem` is empty when GPUs can be used; else it says why not, and what
/// would be needed.
struct GpuReport {
  std::string driver_library;  // path, "" when there is none
  std::string driver_version;  // "580.65.06", "" when it can not be told
  std::string backend_library;
  std::vector<GpuFacts> gpus;
  Error problem = {};

  bool usable() const { return problem.what.empty() && !gpus.empty(); }
};

/// Looks without taking GPU memory for longer than it lasts.
GpuReport find_gpus(const BackendPaths& paths = {});

/// The GPU's device table. kNotFound without driver, GPU or backend, kFailed when the driver is too
/// old (with both versions) or the GPU can not be opened.
Result<std::unique_ptr<Device>> make_cuda_device(int gpu, const DeviceOptions& options = {},
                                                 const BackendPaths& paths = {});

}  // namespace bundle::kernels::cuda
