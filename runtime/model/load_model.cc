// An architecture is a choice of attention and feed-forward halves, layer by layer, which the
// configuration makes.
#include <algorithm>
#include <string>

#include "runtime/format/required_tensors.h"
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

Result<DecoderLayer> load_layer(WeightLoader& weights, const ModelConfig& config, const Rope& rope,
                                const LayerPlace& place) {
  DecoderLayer layer;
  BUNDLE_TRY(layer.attention, config.mla ? load_latent_attention(weights, config, rope, place)
                                         : load_grouped_attention(weights, config, rope, place));
  BUNDLE_TRY(layer.feed_forward, config.has_experts(place.number)
                                     ? load_expert_mlp(weights, config, place.prefix)
                                     : load_dense_mlp(weights, config, place.prefix));
  return layer;
}

/// Layers that this rank does not read, for whoever is told of progress.
void leave_out(WeightLoader& weights, const ModelConfig& config, const Part& layers, bool draft) {
  const bool last = weights.placement().last_stage();
  for (std::int64_t i = 0; i < config.num_layers + config.num_mtp_layers; ++i) {
    const bool own = i >= layers.first && i < layers.first + layers.count;
    const bool drafts = draft && last && i == config.num_layers;
    if (!own && !drafts) weights.leave_out(layer_prefix(i));
  }
}

/// What comes before the first layer and after the last one.
Status load_ends(WeightLoader& weights, bool draft, TransformerParts& parts) {
  const ModelConfig& config = parts.config;
  const Placement& placement = weights.placement();
  const Part own = Vocabulary(config.vocab_size, parts.team).own();
  const bool last = placement.last_stage();
  const bool embeds = placement.first_stage() || (last && (config.tied_embeddings || draft));
  if (embeds) {
    BUNDLE_TRY(parts.embedding,
               weights.linear({"model.embed_tokens", config.vocab_size, own}, config.hidden_size));
  } else {
    weights.leave_out_matrix("model.embed_tokens");
  }
  if (!last) {
    weights.leave_out_matrix("lm_head");
    return {};
  }
  BUNDLE_TRY(parts.norm, weights.device_vector("model.norm.weight", config.hidden_size));
  if (config.tied_embeddings) {
    weights.leave_out_matrix("lm_head");  // once more the embedding, or absent
    return {};
  }
  BUNDLE_TRY(parts.output, weights.linear({"lm_head", config.vocab_size, own}, config.hidden_size));
  return {};
}

Status load_draft(WeightLoader& weights, TransformerParts& parts) {
  const ModelConfig& config = parts.config;
  const LayerPlace place{config.num_layers, layer_prefix(config.num_layers),
                         static_cast<std::int64_t>(parts.layers.size())};
  const Part own = Vocabulary(config.vocab_size, parts.team).own();
  BUNDLE_TRY(DecoderLayer decoder, load_layer(weights, config, *parts.rope, place));
  BUNDLE_TRY(parts.draft, DraftLayer::load(weights, config, place.prefix, own, std::move(decoder)));
  return {};
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const format::Checkpoint& checkpoint,
                                          kernels::Device& device, const Progress& progress,
                                          const LoadOptions& options) {
  TransformerParts parts;
  BUNDLE_TRY(const ModelConfig whole, format::read_model_config(checkpoint));
  BUNDLE_CHECK(format::check_required_tensors(checkpoint, whole));
  parts.config = whole;
  if (options.layers > 0) parts.config.num_layers = std::min(whole.num_layers, options.layers);
  parts.team = options.team;
  const ModelConfig& config = parts.config;
  if (config.moe) device.keep_activations();
  WeightLoader weights(checkpoint, device, progress, options.team);
  const Placement& placement = weights.placement();
  BUNDLE_CHECK(check_parallel(config, placement.parallel));
  const Part layers = placement.layers(config);
  const bool cut = config.num_layers < whole.num_layers;
  parts.drafts = options.draft && !cut && format::has_prediction_layer(checkpoint, config);
  leave_out(weights, whole, layers, parts.drafts);
  BUNDLE_TRY(parts.rope, load_rope(weights, config, device));
  BUNDLE_CHECK(load_ends(weights, parts.drafts, parts));
  for (std::int64_t i = 0; i < layers.count; ++i) {
    const LayerPlace place{layers.first + i, layer_prefix(layers.first + i), i};
    BUNDLE_TRY(DecoderLayer layer, load_layer(weights, config, *parts.rope, place));
    parts.layers.push_back(std::move(layer));
  }
  if (parts.drafts && placement.last_stage()) BUNDLE_CHECK(load_draft(weights, parts));
  parts.resident_bytes = weights.resident_bytes();
  parts.weight_bytes = weights.read_bytes();
  return std::unique_ptr<Model>(std::make_unique<Transformer>(std::move(parts), device));
}

}  // namespace bundle::model
