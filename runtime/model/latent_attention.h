// Multi-head latent attention (DeepSeek-V2, -V3).
#pragma once

#include <memory>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/rope.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// Loads the attention of the layer whose tensors' names begin with `prefix`; its latents go to
/// layer `layer` of the cache. `rope` must outlive it. `config.mla` is set.
Result<std::unique_ptr<AttentionLayer>> load_latent_attention(WeightLoader& weights,
                                                              const format::ModelConfig& config,
                                                              const Rope& rope,
                                                              const std::string& prefix,
                                                              std::int64_t layer);

}  // namespace bundle::model
