// config.json and generation_config.json, as transformers reads them.
#pragma once

#include <string_view>

#include "base/json.h"
#include "runtime/format/model_config.h"

namespace bundle::format {

/// Everything of `config` but the end tokens and sampling that `generation` (null when there is
/// none) adds. `vocab_size` stays 0 when the text lacks it and `vocab_size_hint` is 0.
Result<ModelConfig> config_from_json(const Json& config, const Json* generation,
                                     std::int64_t vocab_size_hint);

/// The rotary embedding: `rope_scaling` or `rope_parameters`, with `rope_theta` in them or beside.
Result<RopeConfig> rope_from_json(const Json& config, std::int64_t max_positions,
                                  double default_theta);

}  // namespace bundle::format
