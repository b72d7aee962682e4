// The feed-forward half as a mixture of experts: a router, routed experts, shared experts.
#pragma once

#include <memory>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// Loads the mixture of the layer whose tensors' names begin with `prefix`. `config.moe` is set.
Result<std::unique_ptr<FeedForwardLayer>> load_expert_mlp(WeightLoader& weights,
                                                          const format::ModelConfig& config,
                                                          const std::string& prefix);

}  // namespace bundle::model
