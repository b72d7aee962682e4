// Latent attention on the device, in its absorbed form for all rows: each head's query becomes one
// for latents, attends to them, and the mixed latent becomes the head's value.
#pragma once

#include "runtime/kernels/cuda/host/cuda_cache.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/host/products.h"
#include "runtime/kernels/cuda/host/row_inputs.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class LatentRunner {
 public:
  /// As ExpertRunner.
  LatentRunner(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
               Products& products)
      : stream_(stream),
        ops_(ops),
        products_(products),
        work_(driver, stream, changes, "latent attention") {}

  /// Device::latent_attention, of rows that `map` describes.
  Status run(Tensor q, const LatentShape& shape, const LatentWeights& weights,
             const DeviceRows& rows, const CacheLayer& cache, Tensor out);

 private:
  Status run_part(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                  LatentAttentionArgs args, Tensor out);

  Stream stream_;
  const Ops& ops_;
  Products& products_;
  GrowingBuffer work_;
};

}  // namespace bundle::kernels::cuda
