#include "runtime/format/model_config.h"

#include <algorithm>

#include "runtime/format/gguf_config.h"
#include "runtime/format/hf_config.h"
#include "runtime/format/tensor_names.h"

namespace bundle::format {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kGeneration = "generation_config.json";
constexpr std::uint64_t kMaxConfig = 16u << 20;

Result<ModelConfig> parse_texts(std::string_view config, std::string_view generation,
                                std::int64_t vocab_size_hint) {
  BUNDLE_TRY(const Json json, parse_json(config, kConfig));
  if (generation.empty()) return config_from_json(json, nullptr, vocab_size_hint);
  BUNDLE_TRY(const Json generation_json, parse_json(generation, kGeneration));
  return config_from_json(json, &generation_json, vocab_size_hint);
}

Result<ModelConfig> config_from_files(const Checkpoint& checkpoint) {
  const ModelSource& source = checkpoint.source();
  BUNDLE_TRY(const std::string config, source.read(kConfig, kMaxConfig));
  std::string generation;
  if (source.find(kGeneration) != nullptr) {
    BUNDLE_TRY(generation, source.read(kGeneration, kMaxConfig));
  }
  const TensorView* embedding = checkpoint.find("model.embed_tokens.weight");
  const std::int64_t rows =
      embedding == nullptr || embedding->shape.empty() ? 0 : embedding->shape[0];
  return parse_texts(config, generation, rows);
}

/// The names to look for, likeliest first.
std::vector<std::string> candidates(const Checkpoint& checkpoint, std::string_view name) {
  if (checkpoint.is_gguf()) return gguf_tensor_names(name);
  return {std::string(name)};
}

}  // namespace

bool ModelConfig::has_experts(std::int64_t layer) const {
  if (!moe || layer < moe->first_dense_layers) return false;
  return !std::binary_search(moe->dense_layers.begin(), moe->dense_layers.end(), layer);
}

Result<ModelConfig> read_model_config(const Checkpoint& checkpoint) {
  return checkpoint.is_gguf() ? config_from_gguf(checkpoint) : config_from_files(checkpoint);
}

Result<ModelConfig> parse_model_config(std::string_view config, std::string_view generation) {
  return parse_texts(config, generation, 0);
}

const TensorView* find_optional_tensor(const Checkpoint& checkpoint, std::string_view name) {
  for (const std::string& candidate : candidates(checkpoint, name)) {
    if (const TensorView* tensor = checkpoint.find(candidate)) return tensor;
  }
  return nullptr;
}

Result<const TensorView*> find_tensor(const Checkpoint& checkpoint, std::string_view name) {
  if (const TensorView* tensor = find_optional_tensor(checkpoint, name)) return tensor;
  std::string what = "the model has no tensor '" + std::string(name) + "'";
  if (checkpoint.is_gguf()) {
    const std::vector<std::string> names = candidates(checkpoint, name);
    what += names.empty() ? ", and GGUF has no name for it" : " ('" + names[0] + "' in GGUF)";
  }
  return not_found(std::move(what), {}, "The checkpoint is incomplete; fetch or convert it again.");
}

}  // namespace bundle::format
