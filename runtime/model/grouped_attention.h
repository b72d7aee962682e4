// Attention with grouped query heads (Llama, Mistral, Qwen2, Qwen3).
#pragma once

#include <memory>
#include <string>

#include "runtime/format/model_config.h"
#include "runtime/model/layer.h"
#include "runtime/model/rope.h"
#include "runtime/model/weights.h"

namespace bundle::model {

/// Loads the attention of a decoder layer, or this rank's heads of it. `rope` must outlive it.
Result<std::unique_ptr<AttentionLayer>> load_grouped_attention(WeightLoader& weights,
                                                               const format::ModelConfig& config,
                                                               const Rope& rope,
                                                               const LayerPlace& place);

}  // namespace bundle::model
