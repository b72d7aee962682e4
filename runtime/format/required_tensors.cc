#include "runtime/format/required_tensors.h"

#include <cstring>

#include "base/weight_type.h"
#include "runtime/format/weight_scales.h"

namespace bundle::format {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr const char* kForeign =
    "Configuration and weights do not belong together; fetch the model again.";
constexpr const char* kConvert =
    "Use the model in BF16, F16, F32, FP8 (e4m3), INT8 or a GGUF quantization.";

std::string layer_prefix(std::int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

bool has_layer(const Checkpoint& checkpoint, std::int64_t layer) {
  const std::string prefix =
      checkpoint.is_gguf() ? "blk." + std::to_string(layer) + "." : layer_prefix(layer);
  const auto at = checkpoint.tensors().lower_bound(prefix);
  return at != checkpoint.tensors().end() && at->first.starts_with(prefix);
}

Error wrong_type(const TensorView& tensor, const char* wanted) {
  return bad_input("tensor '" + tensor.name + "' has type " +
                       std::string(dtype_info(tensor.type).name) + ", " + wanted,
                   "", kConvert);
}

Status check_numbers(const TensorView& tensor) {
  if (is_number(tensor.type)) return {};
  return wrong_type(tensor, "where real numbers belong");
}

/// What kernels take: a type that is multiplied, in whole blocks, with its scales.
Status check_matrix(const Checkpoint& checkpoint, const TensorView& matrix) {
  if (!is_weight(matrix.type)) return wrong_type(matrix, "which no kernel multiplies");
  const std::int64_t cols = matrix.shape.back();
  const std::int64_t unit =
      matrix.type == DType::kI8 ? kInt8Columns : dtype_info(matrix.type).block;
  if (cols % unit != 0) {
    return bad_input("tensor '" + matrix.name + "' has rows of " + std::to_string(cols) +
                         " elements: those of type " + std::string(dtype_info(matrix.type).name) +
                         " are multiplied in blocks of " + std::to_string(unit),
                     "", kConvert);
  }
  BUNDLE_TRY([[maybe_unused]] const WeightScales scales, weight_scales(checkpoint, matrix));
  return {};
}

class TensorCheck {
 public:
  TensorCheck(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  Status run() {
    BUNDLE_CHECK(check_ends());
    for (std::int64_t layer = 0; layer < config_.num_layers; ++layer) {
      BUNDLE_CHECK(check_layer(layer));
    }
    if (has_prediction_layer(checkpoint_, config_)) BUNDLE_CHECK(check_prediction_layer());
    prefix_ = layer_prefix(config_.num_layers + config_.num_mtp_layers);
    // A prediction layer that the configuration leaves out is no contradiction: nothing needs it.
    if (find_in_layer("eh_proj.weight") != nullptr) return {};
    return refuse_in_layer("input_layernorm.weight",
                           "has " + std::to_string(config_.num_layers) + " layers");
  }

 private:
  Status check_ends() {
    const Shape vocabulary{config_.vocab_size, config_.hidden_size};
    BUNDLE_CHECK(need_matrix("model.embed_tokens", vocabulary));
    BUNDLE_CHECK(need_vector("model.norm.weight", config_.hidden_size));
    const MlaConfig* mla = config_.mla ? &*config_.mla : nullptr;
    const std::int64_t rotary = mla != nullptr ? mla->qk_rope_head_dim : config_.head_dim;
    BUNDLE_CHECK(optional_vector("rope_freqs.weight", rotary / 2));
    return config_.tied_embeddings ? check_tied_head() : need_matrix("lm_head", vocabulary);
  }

  /// Implementations differ in which of the two they would take.
  Status check_tied_head() const {
    const TensorView* head = find_optional_tensor(checkpoint_, "lm_head.weight");
    if (head == nullptr) return {};
    const TensorView& embedding = *find_optional_tensor(checkpoint_, "model.embed_tokens.weight");
    const bool same = head->type == embedding.type && head->shape == embedding.shape &&
                      std::memcmp(head->data.data(), embedding.data.data(), head->data.size()) == 0;
    checkpoint_.drop(*head);
    if (same) return {};
    return bad_input("tensor '" + head->name + "' is not '" + embedding.name +
                         "', but by its configuration the model ties them",
                     "",
                     "Set tie_word_embeddings to false where the model has a head of its own; "
                     "else leave the tensor out.");
  }

  Status check_layer(std::int64_t layer) {
    prefix_ = layer_prefix(layer);
    const std::int64_t hidden = config_.hidden_size;
    BUNDLE_CHECK(vector_in_layer("input_layernorm.weight", hidden));
    BUNDLE_CHECK(vector_in_layer("post_attention_layernorm.weight", hidden));
    BUNDLE_CHECK(config_.mla ? check_latent_attention() : check_attention());
    BUNDLE_CHECK(check_attention_biases());
    return config_.has_experts(layer) ? check_experts() : check_dense_mlp();
  }

  /// A layer like the last ones, between what joins it to the model and what it ends with.
  Status check_prediction_layer() {
    BUNDLE_CHECK(check_layer(config_.num_layers));
    const std::int64_t hidden = config_.hidden_size;
    for (const char* norm : {"enorm.weight", "hnorm.weight", "shared_head.norm.weight"}) {
      BUNDLE_CHECK(vector_in_layer(norm, hidden));
    }
    BUNDLE_CHECK(matrix_in_layer("eh_proj", hidden, 2 * hidden));
    for (const char* own : {"embed_tokens", "shared_head.head"}) {
      if (find_in_layer(std::string(own) + ".weight") == nullptr) continue;
      BUNDLE_CHECK(matrix_in_layer(own, config_.vocab_size, hidden));
    }
    return {};
  }

  Status check_attention() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t q_rows = config_.num_heads * config_.head_dim;
    const std::int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    BUNDLE_CHECK(matrix_in_layer("self_attn.q_proj", q_rows, hidden));
    BUNDLE_CHECK(matrix_in_layer("self_attn.k_proj", kv_rows, hidden));
    BUNDLE_CHECK(matrix_in_layer("self_attn.v_proj", kv_rows, hidden));
    BUNDLE_CHECK(matrix_in_layer("self_attn.o_proj", hidden, q_rows));
    if (!config_.qk_norm) return refuse_in_layer("self_attn.q_norm.weight", "has no such norm");
    BUNDLE_CHECK(vector_in_layer("self_attn.q_norm.weight", config_.head_dim));
    return vector_in_layer("self_attn.k_norm.weight", config_.head_dim);
  }

  /// An output's bias is optional where attention is grouped.
  Status check_attention_biases() {
    if (!config_.attention_bias) return refuse_attention_biases();
    if (config_.mla) {
      const MlaConfig& mla = *config_.mla;
      if (mla.q_lora_rank > 0) {
        BUNDLE_CHECK(vector_in_layer("self_attn.q_a_proj.bias", mla.q_lora_rank));
      }
      BUNDLE_CHECK(vector_in_layer("self_attn.kv_a_proj_with_mqa.bias",
                                   mla.kv_lora_rank + mla.qk_rope_head_dim));
      return vector_in_layer("self_attn.o_proj.bias", config_.hidden_size);
    }
    const std::int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    BUNDLE_CHECK(vector_in_layer("self_attn.q_proj.bias", config_.num_heads * config_.head_dim));
    BUNDLE_CHECK(vector_in_layer("self_attn.k_proj.bias", kv_rows));
    BUNDLE_CHECK(vector_in_layer("self_attn.v_proj.bias", kv_rows));
    return optional_vector(prefix_ + "self_attn.o_proj.bias", config_.hidden_size);
  }

  Status refuse_attention_biases() const {
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj", "q_a_proj", "q_b_proj",
                             "kv_a_proj_with_mqa", "kv_b_proj"}) {
      BUNDLE_CHECK(
          refuse_in_layer("self_attn." + std::string(name) + ".bias", "has no such biases"));
    }
    return {};
  }

  Status check_latent_attention() {
    const MlaConfig& mla = *config_.mla;
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t q_rows = config_.num_heads * config_.head_dim;
    if (mla.q_lora_rank == 0) {
      BUNDLE_CHECK(matrix_in_layer("self_attn.q_proj", q_rows, hidden));
    } else {
      BUNDLE_CHECK(matrix_in_layer("self_attn.q_a_proj", mla.q_lora_rank, hidden));
      BUNDLE_CHECK(vector_in_layer("self_attn.q_a_layernorm.weight", mla.q_lora_rank));
      BUNDLE_CHECK(matrix_in_layer("self_attn.q_b_proj", q_rows, mla.q_lora_rank));
    }
    BUNDLE_CHECK(matrix_in_layer("self_attn.kv_a_proj_with_mqa",
                                 mla.kv_lora_rank + mla.qk_rope_head_dim, hidden));
    BUNDLE_CHECK(vector_in_layer("self_attn.kv_a_layernorm.weight", mla.kv_lora_rank));
    BUNDLE_CHECK(matrix_in_layer("self_attn.o_proj", hidden, config_.num_heads * mla.v_head_dim));
    return check_latent_heads();
  }

  /// One matrix, or, in newer GGUF files, its two halves, a matrix a head, the first one turned.
  Status check_latent_heads() {
    const MlaConfig& mla = *config_.mla;
    const std::int64_t heads = config_.num_heads;
    const bool split = find_in_layer("self_attn.kv_b_proj.weight") == nullptr &&
                       find_in_layer("self_attn.k_b_proj.weight") != nullptr;
    if (!split) {
      return matrix_in_layer("self_attn.kv_b_proj", heads * (mla.qk_nope_head_dim + mla.v_head_dim),
                             mla.kv_lora_rank);
    }
    for (const auto& [name, shape] :
         {std::pair("k_b_proj", Shape{heads, mla.kv_lora_rank, mla.qk_nope_head_dim}),
          std::pair("v_b_proj", Shape{heads, mla.v_head_dim, mla.kv_lora_rank})}) {
      BUNDLE_TRY(const TensorView* half, need(prefix_ + "self_attn." + name + ".weight", shape));
      BUNDLE_CHECK(check_numbers(*half));
      BUNDLE_CHECK(check_matrix(checkpoint_, *half));
    }
    return {};
  }

  Status check_mlp(const std::string& name, std::int64_t width) {
    const std::int64_t hidden = config_.hidden_size;
    BUNDLE_CHECK(matrix_in_layer(name + "gate_proj", width, hidden));
    BUNDLE_CHECK(matrix_in_layer(name + "up_proj", width, hidden));
    return matrix_in_layer(name + "down_proj", hidden, width);
  }

  Status check_dense_mlp() {
    const std::int64_t width = config_.intermediate_size;
    BUNDLE_CHECK(check_mlp("mlp.", width));
    BUNDLE_CHECK(optional_vector(prefix_ + "mlp.gate_proj.bias", width));
    BUNDLE_CHECK(optional_vector(prefix_ + "mlp.up_proj.bias", width));
    return optional_vector(prefix_ + "mlp.down_proj.bias", config_.hidden_size);
  }

  Status check_experts() {
    const MoeConfig& moe = *config_.moe;
    const bool mixtral = config_.architecture == "MixtralForCausalLM";
    const std::string mixture = mixtral ? "block_sparse_moe." : "mlp.";
    BUNDLE_CHECK(matrix_in_layer(mixture + "gate", moe.num_experts, config_.hidden_size));
    if (moe.topk_method == "noaux_tc") {
      BUNDLE_CHECK(vector_in_layer("mlp.gate.e_score_correction_bias", moe.num_experts));
    } else {
      BUNDLE_CHECK(refuse_in_layer("mlp.gate.e_score_correction_bias",
                                   "chooses experts by '" + moe.topk_method + "'"));
    }
    const std::string experts = mixture + "experts.";
    BUNDLE_CHECK(mixtral ? check_stack(experts, ".w1", ".w3", ".w2")
                         : check_stack(experts, ".gate_proj", ".up_proj", ".down_proj"));
    if (moe.num_shared_experts == 0) {
      return refuse_in_layer("mlp.shared_experts.gate_proj.weight", "has no shared experts");
    }
    return check_mlp("mlp.shared_experts.", moe.num_shared_experts * moe.intermediate_size);
  }

  /// Kernels run all experts of a layer at once: they are of one type.
  Status check_stack(const std::string& experts, const char* gate, const char* up,
                     const char* down) {
    const std::int64_t hidden = config_.hidden_size, width = config_.moe->intermediate_size;
    for (std::int64_t e = 0; e < config_.moe->num_experts; ++e) {
      const std::string expert = experts + std::to_string(e);
      BUNDLE_CHECK(matrix_in_layer(expert + gate, width, hidden));
      BUNDLE_CHECK(matrix_in_layer(expert + up, width, hidden));
      BUNDLE_CHECK(matrix_in_layer(expert + down, hidden, width));
      for (const char* part : {gate, up, down}) {
        BUNDLE_CHECK(check_alike(experts + "0" + part, expert + part));
      }
    }
    return {};
  }

  Status check_alike(const std::string& first, const std::string& other) const {
    const TensorView& a = *find_in_layer(first + ".weight");
    const TensorView& b = *find_in_layer(other + ".weight");
    if (a.type == b.type) return {};
    return bad_input("the experts of a layer differ in type: '" + a.name + "' has " +
                         std::string(dtype_info(a.type).name) + ", '" + b.name + "' " +
                         std::string(dtype_info(b.type).name),
                     "", "Convert all of a layer's experts to one type.");
  }

  /// A tensor that the configuration does not speak of, and without which the model would give
  /// other answers than its makers mean.
  Status refuse_in_layer(const std::string& name, const std::string& says) const {
    const TensorView* tensor = find_in_layer(name);
    if (tensor == nullptr) return {};
    return bad_input(
        "there is a tensor '" + tensor->name + "', but by its configuration the model " + says, "",
        kForeign);
  }

  const TensorView* find_in_layer(const std::string& name) const {
    return find_optional_tensor(checkpoint_, prefix_ + name);
  }

  Status matrix_in_layer(const std::string& name, std::int64_t rows, std::int64_t cols) const {
    return need_matrix(prefix_ + name, {rows, cols});
  }

  Status need_matrix(const std::string& name, const Shape& shape) const {
    BUNDLE_TRY(const TensorView* matrix, need(name + ".weight", shape));
    return check_matrix(checkpoint_, *matrix);
  }

  Status vector_in_layer(const std::string& name, std::int64_t size) const {
    return need_vector(prefix_ + name, size);
  }

  Status optional_vector(const std::string& name, std::int64_t size) const {
    if (find_optional_tensor(checkpoint_, name) == nullptr) return {};
    return need_vector(name, size);
  }

  Status need_vector(const std::string& name, std::int64_t size) const {
    BUNDLE_TRY(const TensorView* vector, need(name, {size}));
    return check_numbers(*vector);
  }

  Result<const TensorView*> need(const std::string& name, const Shape& shape) const {
    auto tensor = find_tensor(checkpoint_, name);
    if (!tensor) {
      Error error = std::move(tensor).error();
      error.code = ErrorCode::kBadInput;
      return error;
    }
    BUNDLE_CHECK(check_shape(**tensor, shape));
    return tensor;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  std::string prefix_;
};

}  // namespace

Status check_required_tensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  return TensorCheck(checkpoint, config).run();
}

Status check_shape(const TensorView& tensor, const Shape& wanted) {
  if (tensor.shape == wanted) return {};
  return bad_input("tensor '" + tensor.name + "' has shape " + shape_text(tensor.shape) +
                       ", the configuration asks for " + shape_text(wanted),
                   "", "Check that weights and configuration belong to the same model.");
}

bool has_prediction_layer(const Checkpoint& checkpoint, const ModelConfig& config) {
  return config.num_mtp_layers > 0 && has_layer(checkpoint, config.num_layers);
}

}  // namespace bundle::format
