// The gated feed-forward half: down(silu(gate(x)) · up(x)).
#pragma once

#include <memory>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// Loads the feed-forward half of the layer whose tensors' names begin with `prefix`.
Result<std::unique_ptr<FeedForwardLayer>> load_dense_mlp(WeightLoader& weights,
                                                         const format::ModelConfig& config,
                                                         const std::string& prefix);

}  // namespace bundle::model
