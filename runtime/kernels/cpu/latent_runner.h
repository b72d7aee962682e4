// Latent attention: rows of expanded slices over keys and values of every head, rows of absorbed
// slices over the latents themselves.
#pragma once

#include <span>
#include <vector>

#include "runtime/kernels/cpu/attention.h"
#include "runtime/kernels/cpu/growing_buffer.h"

namespace bundle::kernels::cpu {

/// Holds the scratch memory between steps. Not thread-safe.
class LatentRunner {
 public:
  LatentRunner(const KernelTable& table, ThreadPool& pool, AttentionRunner& attention)
      : table_(table),
        pool_(pool),
        attention_(attention),
        activations_(static_cast<std::size_t>(pool.threads())) {}

  /// Device::latent_attention.
  void run(Tensor q, const LatentShape& shape, const LatentWeights& weights,
           std::span<const Slice> slices, const CpuKvCache& cache, std::int64_t layer, Tensor out);

 private:
  void run_expanded(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                    const CpuKvCache& cache, std::int64_t layer, Tensor out);
  void run_absorbed(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                    const CpuKvCache& cache, std::int64_t layer, Tensor out);
  void absorb_queries(Tensor q, const LatentShape& shape, const Matrix& key_absorb, float* out);
  void raise_values(const float* mixed, const LatentShape& shape, const Matrix& value_up,
                    Tensor out);

  const KernelTable& table_;
  ThreadPool& pool_;
  AttentionRunner& attention_;
  std::vector<std::vector<std::byte>> activations_;  // one a thread
  std::vector<Slice> expanded_;
  std::vector<Slice> absorbed_;     // rows numbered from 0
  std::vector<std::int64_t> rows_;  // of the batch, in order of absorbed_
  GrowingBuffer queries_;
  GrowingBuffer mixed_;
  GrowingBuffer plain_;
};

}  // namespace bundle::kernels::cpu
