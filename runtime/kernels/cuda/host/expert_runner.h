// A mixture's routed part on the device: slots (a token's choices) sorted by expert, the products
// of all experts at once, and the sum of each token's slots.
#pragma once

#include "runtime/kernels/cuda/host/cuda_experts.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class ExpertRunner {
 public:
  /// As GrowingBuffer. With `deterministic` a row gives the same alone and in a crowd, to the bit.
  ExpertRunner(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
               bool deterministic)
      : stream_(stream),
        ops_(ops),
        deterministic_(deterministic),
        work_(driver, stream, changes, "the results of experts") {}

  /// Device::run_experts.
  Status run(const CudaExperts& experts, Tensor x, Routing routing, Tensor y);

 private:
  struct Slots;

  void run_part(const CudaExperts& experts, const Slots& slots, Tensor x, Routing routing,
                Tensor y);

  Stream stream_;
  const Ops& ops_;
  bool deterministic_;
  GrowingBuffer work_;
};

}  // namespace bundle::kernels::cuda
