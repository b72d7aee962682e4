#include "tests/golden/published_tensors.h"

#include <algorithm>

#include "runtime/format/model_config.h"

namespace bundle::golden {
namespace {

using format::ModelConfig;

class Lister {
 public:
  explicit Lister(const ModelConfig& config) : config_(config) {}

  std::vector<TensorSpec> list() {
    const std::int64_t hidden = config_.hidden_size;
    add("model.embed_tokens.weight", {config_.vocab_size, hidden});
    add("model.norm.weight", {hidden});
    if (!config_.tied_embeddings) add("lm_head.weight", {config_.vocab_size, hidden});
    const std::int64_t layers = config_.num_layers + config_.num_mtp_layers;
    for (std::int64_t i = 0; i < layers; ++i) {
      prefix_ = "model.layers." + std::to_string(i) + ".";
      if (i >= config_.num_layers) add_prediction();
      add_layer(i);
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
    return std::move(tensors_);
  }

 private:
  void add(std::string name, std::vector<std::int64_t> shape, DType type = DType::kBF16) {
    tensors_.push_back({std::move(name), type, std::move(shape)});
  }

  void add_vector(const std::string& name, std::int64_t size, DType type = DType::kBF16) {
    add(prefix_ + name, {size}, type);
  }

  /// A matrix that FP8 models store in blocks.
  void add_linear(const std::string& name, std::int64_t rows, std::int64_t cols) {
    const std::string full = prefix_ + name + ".weight";
    add(full, {rows, cols}, config_.fp8_blocks ? DType::kF8E4M3 : DType::kBF16);
    const auto blocks = [](std::int64_t size) { return (size + 127) / 128; };
    if (config_.fp8_blocks) add(full + "_scale_inv", {blocks(rows), blocks(cols)}, DType::kF32);
  }

  void add_biased(const std::string& name, std::int64_t rows, std::int64_t cols) {
    add_linear(name, rows, cols);
    if (config_.attention_bias) add_vector(name + ".bias", rows);
  }

  void add_mlp(const std::string& name, std::int64_t width) {
    add_linear(name + "gate_proj", width, config_.hidden_size);
    add_linear(name + "up_proj", width, config_.hidden_size);
    add_linear(name + "down_proj", config_.hidden_size, width);
  }

  void add_prediction() {
    const std::int64_t hidden = config_.hidden_size;
    add_vector("enorm.weight", hidden);
    add_vector("hnorm.weight", hidden);
    add(prefix_ + "eh_proj.weight", {hidden, 2 * hidden});
    add(prefix_ + "embed_tokens.weight", {config_.vocab_size, hidden});
    add_vector("shared_head.norm.weight", hidden);
    add(prefix_ + "shared_head.head.weight", {config_.vocab_size, hidden});
  }

  void add_layer(std::int64_t layer) {
    add_vector("input_layernorm.weight", config_.hidden_size);
    add_vector("post_attention_layernorm.weight", config_.hidden_size);
    config_.mla ? add_latent_attention() : add_grouped_attention();
    config_.has_experts(layer) ? add_experts() : add_mlp("mlp.", config_.intermediate_size);
  }

  void add_grouped_attention() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t q = config_.num_heads * config_.head_dim;
    const std::int64_t kv = config_.num_kv_heads * config_.head_dim;
    add_biased("self_attn.q_proj", q, hidden);
    add_biased("self_attn.k_proj", kv, hidden);
    add_biased("self_attn.v_proj", kv, hidden);
    add_linear("self_attn.o_proj", hidden, q);
    if (!config_.qk_norm) return;
    add_vector("self_attn.q_norm.weight", config_.head_dim);
    add_vector("self_attn.k_norm.weight", config_.head_dim);
  }

  void add_latent_attention() {
    const format::MlaConfig& mla = *config_.mla;
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t heads = config_.num_heads;
    if (mla.q_lora_rank == 0) {
      add_linear("self_attn.q_proj", heads * config_.head_dim, hidden);
    } else {
      add_linear("self_attn.q_a_proj", mla.q_lora_rank, hidden);
      add_vector("self_attn.q_a_layernorm.weight", mla.q_lora_rank);
      add_linear("self_attn.q_b_proj", heads * config_.head_dim, mla.q_lora_rank);
    }
    add_linear("self_attn.kv_a_proj_with_mqa", mla.kv_lora_rank + mla.qk_rope_head_dim, hidden);
    add_vector("self_attn.kv_a_layernorm.weight", mla.kv_lora_rank);
    add_linear("self_attn.kv_b_proj", heads * (mla.qk_nope_head_dim + mla.v_head_dim),
               mla.kv_lora_rank);
    add_linear("self_attn.o_proj", hidden, heads * mla.v_head_dim);
  }

  void add_experts() {
    const format::MoeConfig& moe = *config_.moe;
    const bool mixtral = config_.architecture == "MixtralForCausalLM";
    const std::string mixture = mixtral ? "block_sparse_moe." : "mlp.";
    add(prefix_ + mixture + "gate.weight", {moe.num_experts, config_.hidden_size});
    if (moe.topk_method == "noaux_tc") {
      add_vector("mlp.gate.e_score_correction_bias", moe.num_experts, DType::kF32);
    }
    for (std::int64_t e = 0; e < moe.num_experts; ++e) {
      const std::string expert = mixture + "experts." + std::to_string(e) + ".";
      if (!mixtral) {
        add_mlp(expert, moe.intermediate_size);
        continue;
      }
      add_linear(expert + "w1", moe.intermediate_size, config_.hidden_size);
      add_linear(expert + "w2", config_.hidden_size, moe.intermediate_size);
      add_linear(expert + "w3", moe.intermediate_size, config_.hidden_size);
    }
    if (moe.num_shared_experts > 0) {
      add_mlp("mlp.shared_experts.", moe.num_shared_experts * moe.intermediate_size);
    }
  }

  const ModelConfig& config_;
  std::string prefix_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

Result<std::vector<TensorSpec>> published_tensors(std::string_view config_json) {
  BUNDLE_TRY(const ModelConfig config, format::parse_model_config(config_json));
  return Lister(config).list();
}

}  // namespace bundle::golden
