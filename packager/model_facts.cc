#include "packager/model_facts.h"

#include <boost/json/object.hpp>

namespace bundle::packager {
namespace {

/// Tensors that come with the weights but are computed from them, or from the configuration.
bool is_derived(std::string_view name) {
  return name.ends_with("_scale_inv") || name.ends_with("_scale") || name.starts_with("rope_") ||
         name.ends_with("rotary_emb.inv_freq");
}

}  // namespace

ModelFacts model_facts(const format::Checkpoint& checkpoint, format::ModelConfig config) {
  ModelFacts facts;
  facts.format = checkpoint.is_gguf() ? "gguf" : "safetensors";
  facts.config = std::move(config);
  facts.weight_bytes = checkpoint.weight_bytes();
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!is_derived(name)) facts.parameters += static_cast<std::uint64_t>(tensor.elements());
    facts.bytes_by_type[std::string(dtype_info(tensor.type).name)] += tensor.data.size();
  }
  if (checkpoint.gguf() != nullptr) {
    if (auto title = checkpoint.gguf()->get_string_or("general.name", "")) facts.title = *title;
  }
  return facts;
}

JsonObject ModelFacts::to_json() const {
  JsonObject types;
  for (const auto& [type, bytes] : bytes_by_type) types[type] = static_cast<std::int64_t>(bytes);
  JsonObject document{{"format", format},
                      {"architecture", config.architecture},
                      {"parameters", static_cast<std::int64_t>(parameters)},
                      {"weight_bytes", static_cast<std::int64_t>(weight_bytes)},
                      {"context_length", config.max_positions},
                      {"num_layers", config.num_layers},
                      {"hidden_size", config.hidden_size},
                      {"num_heads", config.num_heads},
                      {"num_kv_heads", config.num_kv_heads},
                      {"vocab_size", config.vocab_size},
                      {"types", std::move(types)}};
  if (!title.empty()) document["title"] = title;
  return document;
}

}  // namespace bundle::packager
