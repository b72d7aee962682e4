// What a bundle says of its model to people and tools that do not open the weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"
#include "runtime/format/model_config.h"

namespace bundle::packager {

struct ModelFacts {
  std::string format;  // "gguf" or "safetensors"
  std::string title;   // the name inside the model (GGUF's general.name), or ""
  format::ModelConfig config;
  std::uint64_t parameters = 0;  // elements of all tensors that are learned
  std::uint64_t weight_bytes = 0;
  std::map<std::string, std::uint64_t> bytes_by_type;  // "Q4_1" -> bytes of such tensors

  /// architecture, parameters, context_length, sizes and types; the same for the same weights.
  JsonObject to_json() const;
};

ModelFacts model_facts(const format::Checkpoint& checkpoint, format::ModelConfig config);

}  // namespace bundle::packager
