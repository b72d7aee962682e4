// What sizing needs of a GPU and of a machine that can be rented or is owned. Values; the catalogue
// fills them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bundle::sizing {

/// Peaks are dense (no sparsity), in TFLOP/s; 0: the hardware lacks the type.
struct GpuSpec {
  std::string id;
  std::string name;
  std::string vendor;
  double compute_capability = 0;  // 9.0; 0 for other vendors
  double memory_gb = 0;           // as sold
  double usable_gib = 0;          // what a runtime can allocate; estimated when `usable_estimated`
  bool usable_estimated = false;
  double bandwidth_gb_s = 0;
  double bf16 = 0;
  double fp16 = 0;
  double fp8 = 0;
  double int8 = 0;
  double fp4 = 0;
  double link_gb_s = 0;  // to the other GPUs of a node, one direction
  bool has_nvlink = false;
  std::int64_t most_per_node = 8;
  std::int64_t link_domain = 8;  // GPUs that the fast link joins; over a node's in rack systems
  std::string driver_name;       // "NVIDIA H100 80GB HBM3", as NVML says; "": not known
  std::string skypilot_name;     // "H100"; "": not known
  std::vector<std::string> aliases;

  /// Peak of what WeightFormat::compute() names; BF16's where the type has none of its own.
  double peak(const std::string& compute) const;

  /// The value of the node label nvidia.com/gpu.product, by which Kubernetes tells GPUs apart: the
  /// driver's name with hyphens for blanks. "" when it is not known.
  std::string node_label() const;
};

/// A machine as a whole. A price of none is not known.
struct MachineSpec {
  std::string provider;  // "aws", or "on-prem"
  std::string type;      // "p5en.48xlarge", or a host's name
  std::string gpu;       // id of a GpuSpec
  std::int64_t gpu_count = 0;
  std::int64_t machines = 0;  // that there are; 0: as many as are paid for
  double network_gbit_s = 0;  // 0: not known
  std::optional<double> usd_per_hour;
  std::optional<double> spot_usd_per_hour;
  std::string region;
  std::string price_date;
};

}  // namespace bundle::sizing
