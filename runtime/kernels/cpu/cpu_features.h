// What this machine offers: instruction sets by CPUID, cores by affinity and cgroup.
#pragma once

#include <string>
#include <vector>

namespace bundle::kernels::cpu {

/// Instruction sets that have kernels, best first.
enum class Isa { kAvx512Bf16, kAvx512, kAvx2 };

struct IsaName {
  Isa isa;
  const char* option;       // of CpuOptions::isa
  const char* device_name;  // of Device::name
};

/// Those that this CPU and operating system run, best first.
std::vector<IsaName> runnable_isas();

/// Physical cores that this process may use: hardware threads of its affinity mask, one a core,
/// and no more than the cgroup's CPU quota rounded up. At least 1.
int usable_cores();

}  // namespace bundle::kernels::cpu
