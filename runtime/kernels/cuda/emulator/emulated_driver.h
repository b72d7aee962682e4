// A GPU that is emulated: for tests. Work runs when it is queued.
#pragma once

#include <memory>

#include "runtime/kernels/cuda/driver/driver.h"

namespace bundle::kernels::cuda {

namespace emulator {
class Machine;
}

struct EmulatorOptions {
  std::uint32_t seed = 1;  // of the order in which blocks and threads run
  std::size_t memory_bytes = std::size_t{2} << 30;
  int sm = 90;
};

/// With the operations of ops.h compiled for the emulator (library kernels_cuda_emulated).
std::unique_ptr<Driver> make_emulated_driver(const EmulatorOptions& options = {});

/// The machine under such a driver: tests of the emulator run kernels of their own on it.
emulator::Machine& machine_of(Driver& driver);

}  // namespace bundle::kernels::cuda
