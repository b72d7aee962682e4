// A mixture's routed part on the device: slots (a token's choices) sorted by expert, the products
// of all experts at once, and the sum of each token's slots.
#pragma once

#include "runtime/kernels/cuda/host/cuda_experts.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/host/products.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class ExpertRunner {
 public:
  /// As GrowingBuffer; `products` must outlive it.
  ExpertRunner(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
               Products& products)
      : stream_(stream),
        ops_(ops),
        products_(products),
        work_(driver, stream, changes, "the results of experts") {}

  /// Device::run_experts.
  Status run(const CudaExperts& experts, Tensor x, Routing routing, Tensor y);

 private:
  struct Slots;

  Status run_part(const CudaExperts& experts, const Slots& slots, Tensor x, Routing routing,
                  Tensor y);

  Stream stream_;
  const Ops& ops_;
  Products& products_;
  GrowingBuffer work_;
};

}  // namespace bundle::kernels::cuda
