#include "packager/quantize/gguf_fields.h"

#include <cmath>
#include <map>
#include <numbers>

namespace bundle::packager::quantize {
namespace {

using format::ModelConfig;
using format::RopeConfig;

constexpr std::int64_t kSoftmaxGating = 1;
constexpr std::int64_t kSigmoidGating = 2;

Error no_room(const std::string& what) {
  return {ErrorCode::kUsage, "GGUF has no room for " + what, "config.json",
          "Quantize to fp8, which keeps the model's own form."};
}

Status check_representable(const ModelConfig& config) {
  if (config.rope.kind == RopeConfig::Kind::kDynamic) return no_room("dynamic rope scaling");
  if (!config.full_attention_layers.empty()) return no_room("a sliding window in some layers only");
  if (config.moe && !config.moe->dense_layers.empty()) {
    return no_room("layers without experts between those that have them");
  }
  if (config.mla && !config.rope.interleaved) return no_room("rotary halves in latent attention");
  if (config.eos_ids.size() > 3) return no_room("more than three end tokens");
  const bool split_scale = config.mla && config.rope.kind == RopeConfig::Kind::kYarn &&
                           config.rope.mscale != config.rope.mscale_all_dim;
  if (split_scale) return no_room("an mscale that differs from mscale_all_dim");
  return {};
}

/// Adds fields with the architecture's name before theirs.
class Fields {
 public:
  Fields(const ModelConfig& config, GgufEntries& entries)
      : config_(config), entries_(entries), arch_(gguf_architecture(config)) {}

  void add() {
    entries_.add_text("general.architecture", arch_);
    entries_.add_u32("general.quantization_version", 2);
    add_sizes();
    if (config_.mla) {
      add_latent();
    } else {
      whole("attention.key_length", config_.head_dim);
      whole("attention.value_length", config_.head_dim);
      whole("rope.dimension_count", config_.head_dim);
    }
    if (config_.sliding_window > 0) whole("attention.sliding_window", config_.sliding_window);
    if (config_.moe) add_experts();
    add_rope();
    add_tokens();
    add_sampling();
  }

 private:
  void whole(std::string_view name, std::int64_t value) {
    entries_.add_u32(arch_ + '.' + std::string(name), value);
  }
  void real(std::string_view name, double value) {
    entries_.add_f32(arch_ + '.' + std::string(name), value);
  }

  void add_sizes() {
    whole("block_count", config_.num_layers + config_.num_mtp_layers);
    if (config_.num_mtp_layers > 0) whole("nextn_predict_layers", config_.num_mtp_layers);
    whole("context_length", config_.max_positions);
    whole("embedding_length", config_.hidden_size);
    whole("feed_forward_length", config_.intermediate_size);
    whole("attention.head_count", config_.num_heads);
    whole("attention.head_count_kv", config_.num_kv_heads);
    real("attention.layer_norm_rms_epsilon", config_.rms_norm_eps);
    whole("vocab_size", config_.vocab_size);
  }

  void add_latent() {
    const format::MlaConfig& mla = *config_.mla;
    if (mla.q_lora_rank > 0) whole("attention.q_lora_rank", mla.q_lora_rank);
    whole("attention.kv_lora_rank", mla.kv_lora_rank);
    whole("attention.key_length", config_.head_dim);
    whole("attention.value_length", mla.v_head_dim);
    whole("rope.dimension_count", mla.qk_rope_head_dim);
  }

  void add_experts() {
    const format::MoeConfig& moe = *config_.moe;
    whole("expert_count", moe.num_experts);
    whole("expert_used_count", moe.num_experts_per_token);
    whole("expert_feed_forward_length", moe.intermediate_size);
    entries_.add_bool(arch_ + ".expert_weights_norm", moe.norm_topk_prob);
    real("expert_weights_scale", moe.routed_scaling_factor);
    whole("expert_gating_func", moe.scoring == "sigmoid" ? kSigmoidGating : kSoftmaxGating);
    if (moe.num_shared_experts > 0) whole("expert_shared_count", moe.num_shared_experts);
    if (moe.first_dense_layers > 0) whole("leading_dense_block_count", moe.first_dense_layers);
    if (moe.num_groups == 1) return;
    whole("expert_group_count", moe.num_groups);
    whole("expert_group_used_count", moe.top_groups);
  }

  void add_rope() {
    const RopeConfig& rope = config_.rope;
    real("rope.freq_base", rope.theta);
    const bool is_linear = rope.kind == RopeConfig::Kind::kLinear;
    if (!is_linear && rope.kind != RopeConfig::Kind::kYarn) return;
    entries_.add_text(arch_ + ".rope.scaling.type", is_linear ? "linear" : "yarn");
    real("rope.scaling.factor", rope.factor);
    if (is_linear) return;
    whole("rope.scaling.original_context_length", rope.original_max_positions);
    real("rope.scaling.yarn_beta_fast", rope.beta_fast);
    real("rope.scaling.yarn_beta_slow", rope.beta_slow);
    if (rope.attention_factor) real("rope.scaling.yarn_attn_factor", *rope.attention_factor);
    if (config_.mla) real("rope.scaling.yarn_log_multiplier", 0.1 * rope.mscale_all_dim);
  }

  void add_tokens() {
    constexpr const char* kNames[] = {"eos_token_id", "eot_token_id", "eom_token_id"};
    for (std::size_t i = 0; i < config_.eos_ids.size(); ++i) {
      entries_.add_u32(std::string("tokenizer.ggml.") + kNames[i], config_.eos_ids[i]);
    }
    if (config_.bos_id) entries_.add_u32("tokenizer.ggml.bos_token_id", *config_.bos_id);
  }

  void add_sampling() {
    const format::SamplingDefaults& sampling = config_.sampling;
    const auto put = [&](const char* name, const std::optional<double>& value) {
      if (value) entries_.add_f32(name, *value);
    };
    put("general.sampling.temp", sampling.temperature);
    put("general.sampling.top_p", sampling.top_p);
    put("general.sampling.min_p", sampling.min_p);
    put("general.sampling.penalty_repeat", sampling.repetition_penalty);
    if (sampling.top_k) entries_.add_u32("general.sampling.top_k", *sampling.top_k);
  }

  const ModelConfig& config_;
  GgufEntries& entries_;
  std::string arch_;
};

}  // namespace

std::string gguf_architecture(const ModelConfig& config) {
  static const std::map<std::string, std::string> names = {{"Qwen2ForCausalLM", "qwen2"},
                                                           {"Qwen3ForCausalLM", "qwen3"},
                                                           {"Qwen3MoeForCausalLM", "qwen3moe"},
                                                           {"DeepseekV2ForCausalLM", "deepseek2"},
                                                           {"DeepseekV3ForCausalLM", "deepseek2"}};
  const auto found = names.find(config.architecture);
  return found == names.end() ? "llama" : found->second;
}

Status add_model_fields(const ModelConfig& config, GgufEntries& entries) {
  BUNDLE_CHECK(check_representable(config));
  Fields(config, entries).add();
  return {};
}

// transformers' _compute_llama3_parameters: wavelengths over original / low are slowed by `factor`,
// those under original / high are not, and between them the inverse is interpolated.
std::vector<float> rope_factors(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  if (rope.kind != RopeConfig::Kind::kLlama3) return {};
  std::vector<float> factors;
  const auto original = static_cast<double>(rope.original_max_positions);
  for (std::int64_t i = 0; i < config.head_dim; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double wavelength = 2 * std::numbers::pi * std::pow(rope.theta, exponent);
    double factor = 1;
    if (wavelength > original / rope.low_freq_factor) {
      factor = rope.factor;
    } else if (wavelength >= original / rope.high_freq_factor) {
      const double smooth = (original / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
      factor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

}  // namespace bundle::packager::quantize
