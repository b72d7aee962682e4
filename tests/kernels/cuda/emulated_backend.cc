// The emulator as a shared object in libbundle_cuda.so's place: so the whole product, from the
// search for libraries on, runs the CUDA backend without a GPU. The environment plays the machine:
//   BUNDLE_EMULATED_DRIVER_VERSION   what the driver supports (13000)
//   BUNDLE_EMULATED_GPUS             how many GPUs there are (1)
//   BUNDLE_EMULATED_MEMORY           bytes of each (1 GiB)
#include <cstdio>
#include <cstdlib>

#include "runtime/kernels/cuda/driver/backend.h"
#include "runtime/kernels/cuda/emulator/emulated_collectives.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"

namespace bundle::kernels::cuda {
namespace {

long number(const char* name, long otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atol(value);
}

int driver_version() { return static_cast<int>(number("BUNDLE_EMULATED_DRIVER_VERSION", 13000)); }

int device_count(char* problem, std::size_t size) {
  const auto count = static_cast<int>(number("BUNDLE_EMULATED_GPUS", 1));
  if (count == 0) std::snprintf(problem, size, "no CUDA-capable device is detected");
  return count;
}

Driver* open(int, char*, std::size_t) {
  EmulatorOptions options;
  options.memory_bytes = static_cast<std::size_t>(number("BUNDLE_EMULATED_MEMORY", 1L << 30));
  return make_emulated_driver(options).release();
}

constexpr Backend kBackend{kBackendVersion, driver_version,       device_count, open,
                           &kOps,           &kEmulatedCollectives};

}  // namespace
}  // namespace bundle::kernels::cuda

extern "C" const bundle::kernels::cuda::Backend* bundle_cuda_backend() {
  return &bundle::kernels::cuda::kBackend;
}
