// The NVIDIA GPUs of this machine, asked of the driver's own library at run time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bundle::cli {

struct LocalGpu {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  std::uint64_t memory = 0;  // bytes
  std::uint64_t free = 0;
  int capability_major = 0;
  int capability_minor = 0;
};

struct LocalGpus {
  std::vector<LocalGpu> gpus;
  std::string driver;   // version, or "" without one
  std::string problem;  // why nothing could be asked, or ""
};

/// Loads libnvidia-ml.so.1 (NVML) and lets it go again. Without the library there is no GPU and no
/// problem.
LocalGpus local_gpus();

}  // namespace bundle::cli
