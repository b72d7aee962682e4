// Which tensors a configuration needs, and of which shape and type: one rule for packing a
// checkpoint and for serving it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "runtime/format/model_config.h"

namespace bundle::format {

/// kBadInput naming the first tensor that is missing, whose shape or type is not what the
/// configuration and the kernels want, or that contradicts the configuration: biases it denies,
/// layers beyond its last, a head of its own beside tied embeddings that is not the embedding.
/// Reads no tensor's bytes but those of such a head and the embedding.
Status check_required_tensors(const Checkpoint& checkpoint, const ModelConfig& config);

/// kBadInput naming the tensor when it has another shape than the configuration wants.
Status check_shape(const TensorView& tensor, const std::vector<std::int64_t>& wanted);

/// Whether the checkpoint has the (first) layer for multi-token prediction, behind the model's
/// last. Some converters leave it out, and its number in the configuration.
bool has_prediction_layer(const Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace bundle::format
