// How many weights a model has, from its configuration alone.
#pragma once

#include <cstdint>

#include "runtime/format/model_config.h"

namespace bundle::sizing {

/// Counts of elements, as publishers count: without prediction (MTP) layers and without the scales
/// of FP8 blocks.
struct Parameters {
  std::uint64_t embedding = 0;
  std::uint64_t lm_head = 0;  // 0 when the embedding is used again
  std::uint64_t total = 0;    // these two included
  std::uint64_t active = 0;   // that one token passes through: all but the experts not chosen
};

/// An error when the sizes multiply beyond 63 bits (no configuration that was read and checked
/// does for its dense part; one with absurd experts may).
Result<Parameters> count_parameters(const format::ModelConfig& config);

}  // namespace bundle::sizing
