// The two halves of a decoder layer, whatever their kind: attention (grouped heads, latent, …) and
// feed-forward (dense, mixture of experts, …). An architecture is a list of such halves.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/kernels/device.h"

namespace bundle::model {

/// What all layers of one step share.
struct Step {
  kernels::Device& device;
  kernels::KvCache& cache;
  kernels::Arena& lasting;  // until the step ends: the hidden state
  kernels::Arena& scratch;  // until the current half ends
  std::span<const kernels::Slice> slices;
};

/// The rows whose logits are asked for. Nothing else of the last layer's output is read, so it
/// goes on with these alone once all keys and values are stored.
struct KeptRows {
  std::span<const std::int64_t> rows;      // of the step's activations, ascending
  std::span<const kernels::Slice> slices;  // of the kept rows, numbered from 0
};

/// `count` rows of `cols` floats in `arena`.
inline kernels::Tensor take(kernels::Arena& arena, std::int64_t rows, std::int64_t cols) {
  return {arena.take(static_cast<std::size_t>(rows * cols) * sizeof(float)), rows, cols};
}

/// Where a layer stands: in the model, in its checkpoint, and in this rank's cache.
struct LayerPlace {
  std::int64_t number = 0;
  std::string prefix;  // of its tensors' names: "model.layers.0."
  std::int64_t cache_layer = 0;
};

class AttentionLayer {
 public:
  virtual ~AttentionLayer() = default;
  /// Stores keys and values of all rows, and gives x + attention(norm(x)): in place, or the kept
  /// rows alone where `kept` is not null.
  virtual kernels::Tensor forward(const Step& step, kernels::Tensor x,
                                  const KeptRows* kept) const = 0;
};

class FeedForwardLayer {
 public:
  virtual ~FeedForwardLayer() = default;
  /// x += feed_forward(norm(x)).
  virtual void forward(const Step& step, kernels::Tensor x) const = 0;
};

struct DecoderLayer {
  std::unique_ptr<AttentionLayer> attention;
  std::unique_ptr<FeedForwardLayer> feed_forward;
};

}  // namespace bundle::model
