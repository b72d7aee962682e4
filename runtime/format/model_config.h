// What the engine needs to know of a model, read from config.json or from GGUF metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/checkpoint.h"

namespace bundle::format {

/// Rotary embedding. Frequencies follow transformers' modeling_rope_utils.
struct RopeConfig {
  enum class Kind { kDefault, kLinear, kLlama3, kYarn, kDynamic } kind = Kind::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;   // llama3
  double high_freq_factor = 4.0;  // llama3
  std::int64_t original_max_positions = 0;
  double beta_fast = 32.0;  // yarn
  double beta_slow = 1.0;
  double mscale = 0.0;  // yarn, DeepSeek; 0 = absent
  double mscale_all_dim = 0.0;
  std::optional<double> attention_factor;
  bool truncate = true;  // yarn: round the correction range to whole dimensions
  /// Pairs are (2i, 2i+1) as GGUF's llama stores them, not (i, i + dim/2) as Hugging Face does.
  bool interleaved = false;
  /// Per-frequency divisors that a GGUF may carry as `rope_freqs.weight` are a tensor, not here.
};

/// Mixture of experts; none for dense models.
struct MoeConfig {
  std::int64_t num_experts = 0;
  std::int64_t num_experts_per_token = 0;
  std::int64_t num_shared_experts = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t first_dense_layers = 0;
  std::int64_t num_groups = 1;
  std::int64_t top_groups = 1;
  double routed_scaling_factor = 1.0;
  bool norm_topk_prob = false;
  std::string scoring = "softmax";         // or "sigmoid"
  std::string topk_method = "greedy";      // "group_limited_greedy", "noaux_tc"
  std::vector<std::int64_t> dense_layers;  // further layers without experts, sorted
};

/// Multi-head latent attention (DeepSeek); none for others.
struct MlaConfig {
  std::int64_t q_lora_rank = 0;  // 0: the query has no low-rank step
  std::int64_t kv_lora_rank = 0;
  std::int64_t qk_nope_head_dim = 0;
  std::int64_t qk_rope_head_dim = 0;
  std::int64_t v_head_dim = 0;
};

/// Token choice that the model's publisher recommends (generation_config.json).
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
};

/// Sizes are in elements, shapes as in Hugging Face's config.json.
struct ModelConfig {
  /// As published, or Hugging Face's name for what a GGUF holds: one of known_architectures().
  std::string architecture;
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;
  std::int64_t head_dim = 0;  // of q and k; with MLA qk_nope_head_dim + qk_rope_head_dim
  std::int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  bool tied_embeddings = false;
  bool attention_bias = false;      // q, k, v (and where the checkpoint has it, o) have biases
  bool qk_norm = false;             // RMSNorm over each head of q and k (Qwen3)
  std::int64_t sliding_window = 0;  // tokens that a position sees, itself included; 0: all
  /// Layers that see all positions although there is a sliding window (sorted).
  std::vector<std::int64_t> full_attention_layers;
  /// Linear weights are FP8 e4m3 with a float32 `weight_scale_inv` for each 128x128 block.
  bool fp8_blocks = false;
  RopeConfig rope;
  std::optional<MoeConfig> moe;
  std::optional<MlaConfig> mla;
  std::int64_t num_mtp_layers = 0;
  std::vector<std::int32_t> eos_ids;  // any of them ends a generation
  std::optional<std::int32_t> bos_id;
  SamplingDefaults sampling;

  /// Whether layer `layer` is a mixture of experts.
  bool has_experts(std::int64_t layer) const;
};

/// Reads and checks the configuration. An unknown architecture is refused by name, with the known
/// ones; sizes that are absent, not positive, or do not divide are refused by key, and so is a
/// setting that changes results and is not implemented (another activation, partial rotary
/// embeddings, an unknown quantization).
Result<ModelConfig> read_model_config(const Checkpoint& checkpoint);

/// The same without weights: the texts of config.json and of generation_config.json ("" when there
/// is none). `vocab_size` must then stand in the text.
Result<ModelConfig> parse_model_config(std::string_view config, std::string_view generation = {});

/// The architectures that read_model_config accepts.
const std::vector<std::string>& known_architectures();

/// The tensor that Hugging Face calls `name` ("model.layers.0.self_attn.q_proj.weight"), whatever
/// the checkpoint calls it ("blk.0.attn_q.weight"). kNotFound, naming both, when it is missing.
Result<const TensorView*> find_tensor(const Checkpoint& checkpoint, std::string_view name);
/// The same, null when it is missing.
const TensorView* find_optional_tensor(const Checkpoint& checkpoint, std::string_view name);

}  // namespace bundle::format
