#include "tests/model/checkpoint_builder.h"

#include <algorithm>
#include <bit>

#include "base/json.h"

namespace bundle::model {
namespace {

using golden::GgufField;
using golden::Golden;
using golden::StoredTensor;
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

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const std::size_t at = text.find(from); at != std::string::npos) {
    text.replace(at, from.size(), to);
  }
}

std::string gguf_name(std::string name) {
  const std::pair<const char*, const char*> names[] = {
      {"model.layers.", "blk."},           {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},       {"lm_head", "output"},
      {"input_layernorm", "attn_norm"},    {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},      {"self_attn.o_proj", "attn_output"},
      {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
      {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  for (const auto& [from, to] : names) replace(name, from, to);
  return name;
}

/// Row r of a head of size d goes where its partner is its neighbour: (i, i + d/2) become
/// (2i, 2i + 1).
std::vector<float> interleave_rows(const std::vector<float>& values, std::int64_t rows,
                                   std::int64_t dim) {
  std::vector<float> turned(values.size());
  const auto cols = static_cast<std::int64_t>(values.size()) / rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t i = r % dim;
    const std::int64_t to = r - i + (i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1);
    std::copy_n(values.begin() + r * cols, cols, turned.begin() + to * cols);
  }
  return turned;
}

std::int64_t number(const Json& config, const char* key) {
  return get_int(config, key, "config").value();
}

std::vector<std::pair<std::string, GgufField>> gguf_fields(const Json& config,
                                                           const std::string& arch) {
  const auto size = [&](const char* key) {
    return static_cast<std::uint32_t>(number(config, key));
  };
  const auto real = [&](const char* key) {
    return static_cast<float>(get_double_or(config, key, 0.0, "config").value());
  };
  return {{"general.architecture", arch},
          {arch + ".block_count", size("num_hidden_layers")},
          {arch + ".context_length", size("max_position_embeddings")},
          {arch + ".embedding_length", size("hidden_size")},
          {arch + ".feed_forward_length", size("intermediate_size")},
          {arch + ".attention.head_count", size("num_attention_heads")},
          {arch + ".attention.head_count_kv", size("num_key_value_heads")},
          {arch + ".attention.key_length", size("head_dim")},
          {arch + ".attention.value_length", size("head_dim")},
          {arch + ".rope.dimension_count", size("head_dim")},
          {arch + ".attention.layer_norm_rms_epsilon", real("rms_norm_eps")},
          {arch + ".rope.freq_base", real("rope_theta")},
          {arch + ".vocab_size", size("vocab_size")}};
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

Encode encode_as(DType type) {
  return [type](const std::string& name, const std::vector<std::int64_t>& shape,
                const std::vector<float>& values) {
    const DType used = shape.size() > 1 ? type : DType::kF32;
    return StoredTensor{name, used, shape, golden::quantize(used, values)};
  };
}

std::string golden_gguf(const Golden& golden, const Encode& encode) {
  const Json config = parse_json(golden.config_json, "config").value();
  const std::string hf(config.at("architectures").at(0).as_string());
  const std::string arch = hf == "Qwen2ForCausalLM"   ? "qwen2"
                           : hf == "Qwen3ForCausalLM" ? "qwen3"
                                                      : "llama";
  std::vector<StoredTensor> tensors;
  for (const TensorSpec& tensor : golden.tensors) {
    std::vector<float> values = golden::tensor_values(golden, tensor);
    for (float& value : values) {
      value = std::bit_cast<float>(static_cast<std::uint32_t>(golden::to_bf16(value)) << 16);
    }
    const bool turned = tensor.name.find("q_proj") != std::string::npos ||
                        tensor.name.find("k_proj") != std::string::npos;
    if (arch == "llama" && turned) {
      values = interleave_rows(values, tensor.shape[0], number(config, "head_dim"));
    }
    StoredTensor stored = encode(tensor.name, tensor.shape, values);
    stored.name = gguf_name(tensor.name);
    tensors.push_back(std::move(stored));
  }
  return golden::gguf_text(gguf_fields(config, arch), tensors);
}

}  // namespace bundle::model
