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
      BUNDLE_CHECK(check_attention_biases());
      BUNDLE_CHECK(config_.has_experts(layer) ? check_experts()
                                              : check_mlp("mlp.", config_.intermediate_size));
    }
    prefix_ = fmt::format("model.layers.{}.", config_.num_layers + config_.num_mtp_layers);
    // A prediction layer that the configuration leaves out is no contradiction: nothing needs it.
    const std::string joins = prefix_ + "eh_proj.weight";
    if (format::find_optional_tensor(checkpoint_, joins) != nullptr) return {};
    return refuse_in_layer("input_layernorm.weight",
                           fmt::format("has {} layers", config_.num_layers));
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
    if (!config_.qk_norm) return refuse_in_layer("self_attn.q_norm.weight", "has no such norm");
    BUNDLE_CHECK(need_in_layer("self_attn.q_norm.weight", {config_.head_dim}));
    return need_in_layer("self_attn.k_norm.weight", {config_.head_dim});
  }

  /// As the model's loader takes them: an output's bias is optional where attention is grouped.
  Status check_attention_biases() {
    if (!config_.attention_bias) {
      for (const char* name : {"q_proj.bias", "q_a_proj.bias", "kv_a_proj_with_mqa.bias"}) {
        BUNDLE_CHECK(refuse_in_layer(std::string("self_attn.") + name, "has no biases"));
      }
      return {};
    }
    if (config_.mla) {
      const format::MlaConfig& mla = *config_.mla;
      if (mla.q_lora_rank > 0) {
        BUNDLE_CHECK(need_in_layer("self_attn.q_a_proj.bias", {mla.q_lora_rank}));
      }
      BUNDLE_CHECK(need_in_layer("self_attn.kv_a_proj_with_mqa.bias",
                                 {mla.kv_lora_rank + mla.qk_rope_head_dim}));
      return need_in_layer("self_attn.o_proj.bias", {config_.hidden_size});
    }
    const std::int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    BUNDLE_CHECK(need_in_layer("self_attn.q_proj.bias", {config_.num_heads * config_.head_dim}));
    BUNDLE_CHECK(need_in_layer("self_attn.k_proj.bias", {kv_rows}));
    return need_in_layer("self_attn.v_proj.bias", {kv_rows});
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
    } else {
      BUNDLE_CHECK(refuse_in_layer("mlp.gate.e_score_correction_bias",
                                   "chooses experts by '" + moe.topk_method + "'"));
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
    if (moe.num_shared_experts == 0) {
      return refuse_in_layer("mlp.shared_experts.gate_proj.weight", "has no shared experts");
    }
    return check_mlp("mlp.shared_experts.", moe.num_shared_experts * moe.intermediate_size);
  }

  /// An 8-bit matrix needs its scales.
  Status need_matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
    const std::string full = prefix_ + name + ".weight";
    BUNDLE_CHECK(need(full, {rows, cols}));
    BUNDLE_TRY(const format::TensorView* matrix, format::find_tensor(checkpoint_, full));
    BUNDLE_TRY(const auto scales, format::weight_scales(checkpoint_, *matrix));
    if (scales.tensor != nullptr) return format::check_finite(*scales.tensor);
    return {};
  }

  /// A tensor that the configuration does not speak of, and without which the model would give
  /// other answers than its makers mean.
  Status refuse_in_layer(const std::string& name, const std::string& says) {
    const auto* tensor = format::find_optional_tensor(checkpoint_, prefix_ + name);
    if (tensor == nullptr) return {};
    return bad_input(fmt::format("there is a tensor '{}', but by its configuration the model {}",
                                 tensor->name, says),
                     "",
                     "Configuration and weights do not belong together; fetch the model again.");
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
