// Products on the device: which kernel multiplies, and what it needs beforehand.
#pragma once

#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// Not thread-safe.
class Products {
 public:
  /// As GrowingBuffer. With `deterministic` a token gives the same alone and in a crowd, to the
  /// bit.
  Products(Driver& driver, Stream stream, const Ops& ops, std::uint64_t& changes,
           bool deterministic);

  /// Products of many tokens no longer round activations to bfloat16.
  void keep_activations() { parts_ = 2; }
  /// Whether products of so many tokens are of the kind that run_many makes.
  bool many(std::int64_t tokens) const { return tokens > kFewTokens && !deterministic_; }

  /// Whether a product of few tokens may be gated.
  bool takes_gate(const MatmulArgs& args) const { return multiplies_few(args, shared_bytes_); }

  /// Queues args by the number of its tokens. kFailed when there is no memory for what lies
  /// between.
  Status run(const MatmulArgs& args);
  /// Queues a product of many tokens, or of experts' slots in tiles of kTokensTile.
  Status run_many(MatmulArgs args);

 private:
  bool takes_wide(const MatmulArgs& args) const;
  Status run_wide(const MatmulArgs& args);

  Stream stream_;
  const Ops& ops_;
  bool deterministic_;
  bool hopper_;
  int multiprocessors_;
  std::size_t shared_bytes_;
  int parts_ = 1;
  GrowingBuffer normed_;
  GrowingBuffer planes_;   // cut activations
  GrowingBuffer partial_;  // sums of splits
};

}  // namespace bundle::kernels::cuda
