#include "packager/required_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/format/weight_scales.h"

namespace bundle::packager {
namespace {

using Shape = std::vector<std::int64_t>;

class TensorCheck {
 public:
  TensorCheck(const format::Checkpoint& checkpoint, const format::ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  Status run() {
    const std::int64_t hidden = config_.hidden_size;
    BUNDLE_CHECK(need("model.embed_tokens.weight", {config_.vocab_size, hidden}));
    BUNDLE_CHECK(need("model.norm.weight", {hidden}));
    if (!config_.tied_embeddings) {
      BUNDLE_CHECK(need("lm_head.weight", {config_.vocab_size, hidden}));
    }
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
      prefix_ = fmt::format("model.layers.{}.", layer);
      BUNDLE_CHECK(need_in_layer("input_layernorm.weight", {hidden}));
      BUNDLE_CHECK(need_in_layer("post_attention_layernorm.weight", {hidden}));
      BUNDLE_CHECK(config_.mla ? check_latent_attention() : check_attention());
      BUNDLE_CHECK(config_.has_experts(layer) ? check_experts()
                                              : check_mlp("mlp.", config_.intermediate_size));
    }
    return {};
  }

 private:
  Status check_attention() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t q_rows = config_.num_heads * config_.head_dim;
    const std::int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    BUNDLE_CHECK(need_matrix("self_attn.q_proj", q_rows, hidden));
    BUNDLE_CHECK(need_matrix("self_attn.k_proj", kv_rows, hidden));
    BUNDLE_CHECK(need_matrix("self_attn.v_proj", kv_rows, hidden));
    BUNDLE_CHECK(need_matrix("self_attn.o_proj", hidden, q_rows));
    if (config_.qk_norm) {
      BUNDLE_CHECK(need_in_layer("self_attn.q_norm.weight", {config_.head_dim}));
      BUNDLE_CHECK(need_in_layer("self_attn.k_norm.weight", {config_.head_dim}));
    }
    return {};
  }

  Status check_latent_attention() {
    const format::MlaConfig& mla = *config_.mla;
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t heads = config_.num_heads;
    const std::int64_t q_rows = heads * config_.head_dim;
    if (mla.q_lora_rank == 0) {
      BUNDLE_CHECK(need_matrix("self_attn.q_proj", q_rows, hidden));
    } else {
      BUNDLE_CHECK(need_matrix("self_attn.q_a_proj", mla.q_lora_rank, hidden));
      BUNDLE_CHECK(need_in_layer("self_attn.q_a_layernorm.weight", {mla.q_lora_rank}));
      BUNDLE_CHECK(need_matrix("self_attn.q_b_proj", q_rows, mla.q_lora_rank));
    }
    BUNDLE_CHECK(need_matrix("self_attn.kv_a_proj_with_mqa",
                             mla.kv_lora_rank + mla.qk_rope_head_dim, hidden));
    BUNDLE_CHECK(need_in_layer("self_attn.kv_a_layernorm.weight", {mla.kv_lora_rank}));
    BUNDLE_CHECK(need_matrix("self_attn.o_proj", hidden, heads * mla.v_head_dim));
    // Newer GGUF files have the two halves of it, turned.
    const std::string split = prefix_ + "self_attn.k_b_proj.weight";
    if (format::find_optional_tensor(checkpoint_, split) == nullptr) {
      return need_matrix("self_attn.kv_b_proj", heads * (mla.qk_nope_head_dim + mla.v_head_dim),
                         mla.kv_lora_rank);
    }
    BUNDLE_CHECK(need(split, {heads, mla.kv_lora_rank, mla.qk_nope_head_dim}));
    return need_in_layer("self_attn.v_b_proj.weight", {heads, mla.v_head_dim, mla.kv_lora_rank});
  }

  Status check_mlp(const std::string& name, std::int64_t wide) {
    const std::int64_t hidden = config_.hidden_size;
    BUNDLE_CHECK(need_matrix(name + "gate_proj", wide, hidden));
    BUNDLE_CHECK(need_matrix(name + "up_proj", wide, hidden));
    return need_matrix(name + "down_proj", hidden, wide);
  }

  Status check_experts() {
    const format::MoeConfig& moe = *config_.moe;
    const bool mixtral = config_.architecture == "MixtralForCausalLM";
    const std::string mixture = mixtral ? "block_sparse_moe." : "mlp.";
    BUNDLE_CHECK(need_in_layer(mixture + "gate.weight", {moe.num_experts, config_.hidden_size}));
    if (moe.topk_method == "noaux_tc") {
      BUNDLE_CHECK(need_in_layer("mlp.gate.e_score_correction_bias", {moe.num_experts}));
    }
    for (std::int64_t e = 0; e < moe.num_experts; ++e) {
      const std::string expert = fmt::format("{}experts.{}.", mixture, e);
      if (!mixtral) {
        BUNDLE_CHECK(check_mlp(expert, moe.intermediate_size));
        continue;
      }
      BUNDLE_CHECK(need_matrix(expert + "w1", moe.intermediate_size, config_.hidden_size));
      BUNDLE_CHECK(need_matrix(expert + "w2", config_.hidden_size, moe.intermediate_size));
      BUNDLE_CHECK(need_matrix(expert + "w3", moe.intermediate_size, config_.hidden_size));
    }
    if (moe.num_shared_experts == 0) return {};
    return check_mlp("mlp.shared_experts.", moe.num_shared_experts * moe.intermediate_size);
  }

  /// An 8-bit matrix needs its scales.
  Status need_matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
    const std::string full = prefix_ + name + ".weight";
    BUNDLE_CHECK(need(full, {rows, cols}));
    BUNDLE_TRY(const format::TensorView* matrix, format::find_tensor(checkpoint_, full));
    BUNDLE_CHECK(format::weight_scales(checkpoint_, *matrix));
    return {};
  }

  Status need_in_layer(std::string_view name, const Shape& shape) {
    return need(prefix_ + std::string(name), shape);
  }

  Status need(const std::string& name, const Shape& shape) {
    auto tensor = format::find_tensor(checkpoint_, name);
    if (!tensor) {
      Error error = std::move(tensor).error();
      error.code = ErrorCode::kBadInput;
      return error;
    }
    if ((*tensor)->shape == shape) return {};
    return bad_input(
        fmt::format("the tensor '{}' has the shape [{}], but the configuration wants "
                    "[{}]",
                    (*tensor)->name, fmt::join((*tensor)->shape, ", "), fmt::join(shape, ", ")),
        "", "Configuration and weights do not belong together; fetch the model again.");
  }

  const format::Checkpoint& checkpoint_;
  const format::ModelConfig& config_;
  std::string prefix_;
};

}  // namespace

Status check_required_tensors(const format::Checkpoint& checkpoint,
                              const format::ModelConfig& config) {
  return TensorCheck(checkpoint, config).run();
}

}  // namespace bundle::packager
