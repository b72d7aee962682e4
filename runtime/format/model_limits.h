// Checks that every configuration must pass, whichever file it came from.
#pragma once

#include <string>
#include <string_view>

#include "runtime/format/model_config.h"

namespace bundle::format {

/// How one file format spells the sizes, for messages ("num_attention_heads",
/// "llama.attention.head_count").
struct SizeNames {
  std::string vocab_size;
  std::string hidden_size;
  std::string intermediate_size;
  std::string num_layers;
  std::string num_heads;
  std::string num_kv_heads;
  std::string head_dim;
  std::string max_positions;
};

/// Refuses, by key: sizes that are not positive or beyond any model, key/value heads that do not
/// divide the heads, odd head sizes, an epsilon that is no small positive number, rope parameters
/// that give no frequencies, and expert counts that contradict one another.
Status check_limits(const ModelConfig& config, const SizeNames& names, std::string_view where);

/// Refuses an architecture that is not in known_architectures(), with them and the nearest.
Status check_architecture(const std::string& architecture, std::string_view where);

}  // namespace bundle::format
