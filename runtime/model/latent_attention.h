// Multi-head latent attention (DeepSeek-V2, -V3).
#pragma once

#include <memory>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/rope.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// Loads the attention of a layer, or this rank's heads of it. Latents belong to all heads, so
/// every rank makes and keeps them. `rope` must outlive it. `config.mla` is set.
Result<std::unique_ptr<AttentionLayer>> load_latent_attention(WeightLoader& weights,
                                                              const format::ModelConfig& config,
                                                              const Rope& rope,
                                                              const LayerPlace& place);

}  // namespace bundle::model
