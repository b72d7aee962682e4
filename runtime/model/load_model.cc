// An architecture is a choice of attention and feed-forward halves, layer by layer, which the
// configuration makes.
#include <algorithm>
#include <string>

#include "runtime/model/dense_mlp.h"
#include "runtime/model/expert_mlp.h"
#include "runtime/model/grouped_attention.h"
#include "runtime/model/latent_attention.h"
#include "runtime/model/model.h"
#include "runtime/model/transformer.h"

namespace bundle::model {
namespace {

using format::ModelConfig;

Result<std::unique_ptr<Rope>> load_rope(WeightLoader& weights, const ModelConfig& config,
                                        kernels::Device& device) {
  const std::int64_t rotary_dim = config.mla ? config.mla->qk_rope_head_dim : config.head_dim;
  BUNDLE_TRY(const std::vector<float> divisors,
             weights.optional_vector("rope_freqs.weight", rotary_dim / 2));
  BUNDLE_TRY(Rope rope, Rope::make(config.rope, rotary_dim, divisors));
  BUNDLE_CHECK(rope.place(device));
  return std::make_unique<Rope>(std::move(rope));
}

std::string layer_prefix(std::int64_t index) {
  return "model.layers." + std::to_string(index) + ".";
}

/// Some converters leave the prediction layer out and keep its number in the configuration.
bool has_draft(const format::Checkpoint& checkpoint, const ModelConfig& config) {
  const std::string join = layer_prefix(config.num_layers) + "eh_proj.weight";
  return config.num_mtp_layers > 0 && format::find_optional_tensor(checkpoint, join) != nullptr;
}

Result<DecoderLayer> load_layer(WeightLoader& weights, const ModelConfig& config, const Rope& rope,
                                std::int64_t index) {
  const std::string prefix = layer_prefix(index);
  DecoderLayer layer;
  BUNDLE_TRY(layer.attention, config.mla
                                  ? load_latent_attention(weights, config, rope, prefix, index)
                                  : load_grouped_attention(weights, config, rope, prefix, index));
  BUNDLE_TRY(layer.feed_forward, config.has_experts(index)
                                     ? load_expert_mlp(weights, config, prefix)
                                     : load_dense_mlp(weights, config, prefix));
  return layer;
}

/// The configuration of what is loaded; layers that are left out do not count as progress.
ModelConfig cut(ModelConfig config, std::int64_t layers, WeightLoader& weights) {
  if (layers <= 0) return config;
  const std::int64_t all = config.num_layers;
  config.num_layers = std::min(all, layers);
  for (std::int64_t i = config.num_layers; i < all; ++i) weights.leave_out(layer_prefix(i));
  return config;
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const format::Checkpoint& checkpoint,
                                          kernels::Device& device, const Progress& progress,
                                          const LoadOptions& options) {
  TransformerParts parts;
  BUNDLE_TRY(const ModelConfig whole, format::read_model_config(checkpoint));
  WeightLoader weights(checkpoint, device, progress);
  for (std::int64_t i = options.draft ? 1 : 0; i < whole.num_mtp_layers; ++i) {
    weights.leave_out(layer_prefix(whole.num_layers + i));
  }
  parts.config = cut(whole, options.layers, weights);
  const ModelConfig& config = parts.config;
  BUNDLE_TRY(parts.rope, load_rope(weights, config, device));
  BUNDLE_TRY(parts.embedding,
             weights.linear({"model.embed_tokens", config.vocab_size}, config.hidden_size));
  for (std::int64_t i = 0; i < config.num_layers; ++i) {
    BUNDLE_TRY(DecoderLayer layer, load_layer(weights, config, *parts.rope, i));
    parts.layers.push_back(std::move(layer));
  }
  BUNDLE_TRY(parts.norm, weights.device_vector("model.norm.weight", config.hidden_size));
  if (!config.tied_embeddings) {
    BUNDLE_TRY(parts.output, weights.linear({"lm_head", config.vocab_size}, config.hidden_size));
  }
  if (options.draft && has_draft(checkpoint, config)) {
    BUNDLE_TRY(DecoderLayer decoder, load_layer(weights, config, *parts.rope, config.num_layers));
    BUNDLE_TRY(parts.draft, DraftLayer::load(weights, config, layer_prefix(config.num_layers),
                                             std::move(decoder)));
  }
  parts.resident_bytes = weights.resident_bytes();
  return std::unique_ptr<Model>(std::make_unique<Transformer>(std::move(parts), device));
}

}  // namespace bundle::model
