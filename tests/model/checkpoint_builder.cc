#include "tests/model/checkpoint_builder.h"

#include "base/json.h"

namespace bundle::model {
namespace {

using golden::Golden;
using golden::TensorSpec;

bool has_bias(const DenseShape& shape) { return shape.architecture == "Qwen2ForCausalLM"; }
bool has_qk_norm(const DenseShape& shape) { return shape.architecture == "Qwen3ForCausalLM"; }

JsonObject config_of(const DenseShape& shape) {
  JsonObject config{{"architectures", JsonArray{shape.architecture}},
                    {"vocab_size", shape.vocab},
                    {"hidden_size", shape.hidden},
                    {"intermediate_size", shape.intermediate},
                    {"num_hidden_layers", shape.layers},
                    {"num_attention_heads", shape.heads},
                    {"num_key_value_heads", shape.kv_heads},
                    {"head_dim", shape.head_dim},
                    {"max_position_embeddings", 2048},
                    {"rms_norm_eps", 1e-6},
                    {"rope_theta", 10000.0},
                    {"hidden_act", "silu"},
                    {"tie_word_embeddings", shape.tied},
                    {"eos_token_id", 1}};
  if (shape.sliding_window > 0) config["sliding_window"] = shape.sliding_window;
  return config;
}

void add_attention(const DenseShape& shape, const std::string& prefix,
                   std::vector<TensorSpec>& tensors) {
  const std::int64_t q = shape.heads * shape.head_dim;
  const std::int64_t kv = shape.kv_heads * shape.head_dim;
  const std::pair<const char*, std::int64_t> inputs[] = {
      {"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}};
  for (const auto& [name, rows] : inputs) {
    tensors.push_back({prefix + name + ".weight", DType::kBF16, {rows, shape.hidden}});
    if (has_bias(shape)) tensors.push_back({prefix + name + ".bias", DType::kBF16, {rows}});
  }
  tensors.push_back({prefix + "o_proj.weight", DType::kBF16, {shape.hidden, q}});
  if (has_qk_norm(shape)) {
    tensors.push_back({prefix + "q_norm.weight", DType::kBF16, {shape.head_dim}});
    tensors.push_back({prefix + "k_norm.weight", DType::kBF16, {shape.head_dim}});
  }
}

void add_layer(const DenseShape& shape, const std::string& prefix,
               std::vector<TensorSpec>& tensors) {
  add_attention(shape, prefix + "self_attn.", tensors);
  const std::int64_t hidden = shape.hidden, wide = shape.intermediate;
  tensors.push_back({prefix + "input_layernorm.weight", DType::kBF16, {hidden}});
  tensors.push_back({prefix + "post_attention_layernorm.weight", DType::kBF16, {hidden}});
  tensors.push_back({prefix + "mlp.gate_proj.weight", DType::kBF16, {wide, hidden}});
  tensors.push_back({prefix + "mlp.up_proj.weight", DType::kBF16, {wide, hidden}});
  tensors.push_back({prefix + "mlp.down_proj.weight", DType::kBF16, {hidden, wide}});
}

}  // namespace

Golden dense_golden(const DenseShape& shape, std::uint64_t seed) {
  Golden golden;
  golden.name = shape.architecture;
  golden.config_json = print_json(config_of(shape));
  golden.seed = seed;
  golden.tied = shape.tied;
  golden.tensors.push_back(
      {"model.embed_tokens.weight", DType::kBF16, {shape.vocab, shape.hidden}});
  golden.tensors.push_back({"model.norm.weight", DType::kBF16, {shape.hidden}});
  if (!shape.tied) {
    golden.tensors.push_back({"lm_head.weight", DType::kBF16, {shape.vocab, shape.hidden}});
  }
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    add_layer(shape, "model.layers." + std::to_string(i) + ".", golden.tensors);
  }
  return golden;
}

}  // namespace bundle::model
