// Architectures are tables of layer kinds: a new one names its attention and feed-forward loaders.
#include <algorithm>
#include <array>
#include <string>

#include "runtime/model/dense_mlp.h"
#include "runtime/model/grouped_attention.h"
#include "runtime/model/model.h"
#include "runtime/model/transformer.h"

namespace bundle::model {
namespace {

using format::ModelConfig;

/// Architectures whose every layer is grouped attention and a dense gated feed-forward.
constexpr std::array<std::string_view, 4> kDenseArchitectures = {
    "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};

Status check_architecture(const ModelConfig& config) {
  const bool known = std::find(kDenseArchitectures.begin(), kDenseArchitectures.end(),
                               config.architecture) != kDenseArchitectures.end();
  if (known && !config.moe && !config.mla) return {};
  std::string names;
  for (std::string_view name : kDenseArchitectures) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return bad_input("models of architecture '" + config.architecture + "' can not be run yet", "",
                   "Use a model of one of these: " + names + ".");
}

Result<std::unique_ptr<Rope>> load_rope(WeightLoader& weights, const ModelConfig& config) {
  BUNDLE_TRY(const std::vector<float> divisors,
             weights.optional_vector("rope_freqs.weight", config.head_dim / 2));
  BUNDLE_TRY(Rope rope, Rope::make(config.rope, config.head_dim, divisors));
  return std::make_unique<Rope>(std::move(rope));
}

Result<DecoderLayer> load_layer(WeightLoader& weights, const ModelConfig& config, const Rope& rope,
                                std::int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  DecoderLayer layer;
  BUNDLE_TRY(layer.attention, load_grouped_attention(weights, config, rope, prefix, index));
  BUNDLE_TRY(layer.feed_forward, load_dense_mlp(weights, config, prefix));
  return layer;
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const format::Checkpoint& checkpoint,
                                          kernels::Device& device, const Progress& progress) {
  TransformerParts parts;
  BUNDLE_TRY(parts.config, format::read_model_config(checkpoint));
  const ModelConfig& config = parts.config;
  BUNDLE_CHECK(check_architecture(config));
  WeightLoader weights(checkpoint, device, progress);
  BUNDLE_TRY(parts.rope, load_rope(weights, config));
  BUNDLE_TRY(parts.embedding,
             weights.linear({"model.embed_tokens", config.vocab_size}, config.hidden_size));
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    BUNDLE_TRY(DecoderLayer layer, load_layer(weights, config, *parts.rope, i));
    parts.layers.push_back(std::move(layer));
  }
  BUNDLE_TRY(parts.norm, weights.vector("model.norm.weight", config.hidden_size));
  if (!config.tied_embeddings) {
    BUNDLE_TRY(parts.output, weights.linear({"lm_head", config.vocab_size}, config.hidden_size));
  }
  parts.resident_bytes = weights.resident_bytes();
  return std::unique_ptr<Model>(std::make_unique<Transformer>(std::move(parts), device));
}

}  // namespace bundle::model
