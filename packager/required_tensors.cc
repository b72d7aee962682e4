#include "packager/required_tensors.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

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
      if (!config_.mla) BUNDLE_CHECK(check_attention());
      if (is_dense(layer)) BUNDLE_CHECK(check_mlp());
    }
    return {};
  }

 private:
  bool is_dense(std::int64_t layer) const {
    if (!config_.moe) return true;
    return layer < config_.moe->first_dense_layers ||
           std::ranges::find(config_.moe->dense_layers, layer) != config_.moe->dense_layers.end();
  }

  Status check_attention() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t q_rows = config_.num_heads * config_.head_dim;
    const std::int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    BUNDLE_CHECK(need_in_layer("self_attn.q_proj.weight", {q_rows, hidden}));
    BUNDLE_CHECK(need_in_layer("self_attn.k_proj.weight", {kv_rows, hidden}));
    BUNDLE_CHECK(need_in_layer("self_attn.v_proj.weight", {kv_rows, hidden}));
    BUNDLE_CHECK(need_in_layer("self_attn.o_proj.weight", {hidden, q_rows}));
    if (config_.qk_norm) {
      BUNDLE_CHECK(need_in_layer("self_attn.q_norm.weight", {config_.head_dim}));
      BUNDLE_CHECK(need_in_layer("self_attn.k_norm.weight", {config_.head_dim}));
    }
    return {};
  }

  Status check_mlp() {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t wide = config_.intermediate_size;
    BUNDLE_CHECK(need_in_layer("mlp.gate_proj.weight", {wide, hidden}));
    BUNDLE_CHECK(need_in_layer("mlp.up_proj.weight", {wide, hidden}));
    return need_in_layer("mlp.down_proj.weight", {hidden, wide});
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
