#include "runtime/sizing/parameters.h"

#include <algorithm>

namespace bundle::sizing {
namespace {

using format::ModelConfig;

std::int64_t grouped_attention(const ModelConfig& config) {
  const std::int64_t q = config.num_heads * config.head_dim;
  const std::int64_t kv = config.num_kv_heads * config.head_dim;
  std::int64_t count = config.hidden_size * (2 * q + 2 * kv);  // q and o, k and v
  if (config.attention_bias) {
    count += q + 2 * kv;
    // Qwen2's output projection has none.
    if (config.architecture != "Qwen2ForCausalLM") count += config.hidden_size;
  }
  if (config.qk_norm) count += 2 * config.head_dim;
  return count;
}

std::int64_t latent_attention(const ModelConfig& config) {
  const format::MlaConfig& mla = *config.mla;
  const std::int64_t heads = config.num_heads;
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t q = heads * config.head_dim;
  std::int64_t count = mla.q_lora_rank == 0
                           ? hidden * q
                           : hidden * mla.q_lora_rank + mla.q_lora_rank + mla.q_lora_rank * q;
  count += hidden * (mla.kv_lora_rank + mla.qk_rope_head_dim) + mla.kv_lora_rank;
  count += mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim);
  return count + heads * mla.v_head_dim * hidden;
}

/// Gate, up and down.
std::int64_t feed_forward(const ModelConfig& config, std::int64_t width) {
  return 3 * config.hidden_size * width;
}

std::int64_t expert_layers(const ModelConfig& config) {
  const format::MoeConfig& moe = *config.moe;
  const std::int64_t first = std::min(moe.first_dense_layers, config.num_layers);
  const auto dense = std::count_if(
      moe.dense_layers.begin(), moe.dense_layers.end(),
      [&](std::int64_t layer) { return layer >= first && layer < config.num_layers; });
  return config.num_layers - first - dense;
}

/// Router and shared experts, which every token passes.
std::int64_t shared_part(const ModelConfig& config) {
  const format::MoeConfig& moe = *config.moe;
  return config.hidden_size * moe.num_experts +
         feed_forward(config, moe.num_shared_experts * moe.intermediate_size);
}

/// They steer the choice of experts; no token passes through them.
std::uint64_t choice_biases(const ModelConfig& config) {
  if (!config.moe || config.moe->topk_method != "noaux_tc") return 0;
  return static_cast<std::uint64_t>(expert_layers(config) * config.moe->num_experts);
}

/// Sums products, and remembers whether one left 63 bits.
class Sum {
 public:
  void add(std::int64_t count, std::int64_t each) {
    std::int64_t product = 0;
    overflow_ |= __builtin_mul_overflow(count, each, &product);
    overflow_ |= __builtin_add_overflow(value_, product, &value_);
  }
  Result<std::uint64_t> value() const {
    if (overflow_) return bad_input("the model's sizes multiply beyond any memory");
    return static_cast<std::uint64_t>(value_);
  }

 private:
  std::int64_t value_ = 0;
  bool overflow_ = false;
};

/// All weights when each layer with experts holds `experts` of them.
Result<std::uint64_t> total_with(const ModelConfig& config, std::int64_t experts) {
  const std::int64_t sparse = config.moe ? expert_layers(config) : 0;
  const std::int64_t attention = config.mla ? latent_attention(config) : grouped_attention(config);
  Sum sum;
  sum.add(config.tied_embeddings ? 1 : 2, config.vocab_size * config.hidden_size);
  sum.add(1, config.hidden_size);  // last norm
  sum.add(config.num_layers, attention);
  sum.add(config.num_layers, 2 * config.hidden_size);
  sum.add(config.num_layers - sparse, feed_forward(config, config.intermediate_size));
  if (config.moe) {
    sum.add(sparse, shared_part(config));
    sum.add(sparse * experts, feed_forward(config, config.moe->intermediate_size));
  }
  return sum.value();
}

}  // namespace

Result<Parameters> count_parameters(const ModelConfig& config) {
  Parameters parameters;
  parameters.embedding = static_cast<std::uint64_t>(config.vocab_size * config.hidden_size);
  parameters.lm_head = config.tied_embeddings ? 0 : parameters.embedding;
  BUNDLE_TRY(parameters.total, total_with(config, config.moe ? config.moe->num_experts : 0));
  parameters.total += choice_biases(config);
  BUNDLE_TRY(parameters.active,
             total_with(config, config.moe ? config.moe->num_experts_per_token : 0));
  return parameters;
}

}  // namespace bundle::sizing
