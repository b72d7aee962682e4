// The CPU backends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::kernels {

/// Plain C++ in float32, weights widened element by element, sums in a fixed order. Slow, and the
/// yardstick for every other device. Single-threaded.
std::unique_ptr<Device> make_reference_device();

struct CpuOptions {
  int threads = 0;  // 0: one a physical core that this process may use
  /// "avx2", "avx512" (needs VNNI) or "avx512bf16" (multiplies bfloat16 directly): for tests; ""
  /// picks the best that runs here.
  std::string isa = {};
  int sharers = 1;  // processes that divide the cores among them, where threads is 0
};

/// The fastest device of this machine. kFailed when the CPU lacks AVX2, FMA and F16C, or the named
/// ISA.
Result<std::unique_ptr<Device>> make_cpu_device(const CpuOptions& options);

/// The ISAs of make_cpu_device that this machine can run, best first.
std::vector<std::string> available_isas();

}  // namespace bundle::kernels
