// A model as sizing sees it: its sizes, and how its weights are stored. Wider than what the runtime
// can load: a quantization or an attention that nothing here computes can still be counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "runtime/format/model_config.h"
#include "runtime/sizing/weight_format.h"

namespace bundle::sizing {

/// DeepSeek V3.2's sparse attention: one more key for each position and layer, from which the
/// positions that matter are chosen.
struct IndexerShape {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t top_k = 0;
};

struct ModelShape {
  std::string name;
  format::ModelConfig config;
  WeightFormat format;
  IndexerShape indexer;  // heads 0: none
};

/// From config.json, with or without a quantization that the runtime knows. kBadInput for another
/// architecture.
Result<ModelShape> shape_of_config(const Json& config, std::string name);

}  // namespace bundle::sizing
