// The model configuration that GGUF metadata carry.
#pragma once

#include "runtime/format/model_config.h"

namespace bundle::format {

/// `checkpoint.gguf()` must not be null.
Result<ModelConfig> config_from_gguf(const Checkpoint& checkpoint);

}  // namespace bundle::format
