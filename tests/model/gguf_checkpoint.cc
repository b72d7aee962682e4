#include "tests/model/gguf_checkpoint.h"

#include <algorithm>
#include <bit>
#include <map>

#include "base/json.h"
#include "runtime/format/model_config.h"

namespace bundle::model {
namespace {

using format::ModelConfig;
using golden::GgufField;
using golden::Golden;
using golden::StoredTensor;
using golden::TensorSpec;
using Fields = std::vector<std::pair<std::string, GgufField>>;

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const std::size_t at = text.find(from); at != std::string::npos) {
    text.replace(at, from.size(), to);
  }
}

/// Longer names stand before those that they contain.
constexpr std::pair<const char*, const char*> kNames[] = {
    {"model.layers.", "blk."},
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"mlp.gate.weight", "ffn_gate_inp.weight"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"mlp.experts.gate_proj", "ffn_gate_exps"},
    {"mlp.experts.up_proj", "ffn_up_exps"},
    {"mlp.experts.down_proj", "ffn_down_exps"},
    {"block_sparse_moe.experts.w1", "ffn_gate_exps"},
    {"block_sparse_moe.experts.w3", "ffn_up_exps"},
    {"block_sparse_moe.experts.w2", "ffn_down_exps"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"}};

std::string gguf_name(std::string name) {
  for (const auto& [from, to] : kNames) replace(name, from, to);
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

std::string architecture_of(const ModelConfig& config) {
  const std::map<std::string, std::string> names = {{"Qwen2ForCausalLM", "qwen2"},
                                                    {"Qwen3ForCausalLM", "qwen3"},
                                                    {"Qwen3MoeForCausalLM", "qwen3moe"},
                                                    {"DeepseekV2ForCausalLM", "deepseek2"},
                                                    {"DeepseekV3ForCausalLM", "deepseek2"}};
  const auto found = names.find(config.architecture);
  return found == names.end() ? "llama" : found->second;
}

std::uint32_t u32(std::int64_t value) { return static_cast<std::uint32_t>(value); }

void add_experts(const ModelConfig& config, const std::string& arch, Fields& fields) {
  const format::MoeConfig& moe = *config.moe;
  fields.emplace_back(arch + ".expert_count", u32(moe.num_experts));
  fields.emplace_back(arch + ".expert_used_count", u32(moe.num_experts_per_token));
  if (arch == "llama") return;
  fields.emplace_back(arch + ".expert_feed_forward_length", u32(moe.intermediate_size));
  if (arch != "deepseek2") return;
  fields.emplace_back(arch + ".expert_shared_count", u32(moe.num_shared_experts));
  fields.emplace_back(arch + ".leading_dense_block_count", u32(moe.first_dense_layers));
  fields.emplace_back(arch + ".expert_weights_scale",
                      static_cast<float>(moe.routed_scaling_factor));
  fields.emplace_back(arch + ".expert_weights_norm", moe.norm_topk_prob);
  fields.emplace_back(arch + ".expert_gating_func", u32(moe.scoring == "sigmoid" ? 2 : 1));
  if (moe.num_groups == 1) return;
  fields.emplace_back(arch + ".expert_group_count", u32(moe.num_groups));
  fields.emplace_back(arch + ".expert_group_used_count", u32(moe.top_groups));
}

/// With split heads the plain lengths are the latent's, and those of a head have names of their
/// own.
void add_latent(const ModelConfig& config, const std::string& arch, bool split, Fields& fields) {
  const format::MlaConfig& mla = *config.mla;
  const std::int64_t latent = mla.kv_lora_rank + mla.qk_rope_head_dim;
  if (mla.q_lora_rank > 0) {
    fields.emplace_back(arch + ".attention.q_lora_rank", u32(mla.q_lora_rank));
  }
  fields.emplace_back(arch + ".attention.kv_lora_rank", u32(mla.kv_lora_rank));
  fields.emplace_back(arch + ".attention.key_length", u32(split ? latent : config.head_dim));
  fields.emplace_back(arch + ".attention.value_length",
                      u32(split ? mla.kv_lora_rank : mla.v_head_dim));
  if (split) {
    fields.emplace_back(arch + ".attention.key_length_mla", u32(config.head_dim));
    fields.emplace_back(arch + ".attention.value_length_mla", u32(mla.v_head_dim));
  }
  fields.emplace_back(arch + ".rope.dimension_count", u32(mla.qk_rope_head_dim));
}

void add_yarn(const ModelConfig& config, const std::string& arch, Fields& fields) {
  const format::RopeConfig& rope = config.rope;
  fields.emplace_back(arch + ".rope.scaling.type", std::string("yarn"));
  fields.emplace_back(arch + ".rope.scaling.factor", static_cast<float>(rope.factor));
  fields.emplace_back(arch + ".rope.scaling.original_context_length",
                      u32(rope.original_max_positions));
  fields.emplace_back(arch + ".rope.scaling.yarn_log_multiplier",
                      static_cast<float>(0.1 * rope.mscale_all_dim));
}

Fields gguf_fields(const ModelConfig& config, const std::string& arch, const GgufOptions& options) {
  const bool split = config.mla && options.split_latent_heads;
  Fields fields = {
      {"general.architecture", arch},
      {arch + ".block_count", u32(config.num_layers)},
      {arch + ".context_length", u32(config.max_positions)},
      {arch + ".embedding_length", u32(config.hidden_size)},
      {arch + ".feed_forward_length", u32(config.intermediate_size)},
      {arch + ".attention.head_count", u32(config.num_heads)},
      {arch + ".attention.head_count_kv", u32(split ? 1 : config.num_kv_heads)},
      {arch + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps)},
      {arch + ".rope.freq_base", static_cast<float>(config.rope.theta)},
      {arch + ".vocab_size", u32(config.vocab_size)}};
  if (config.mla) {
    add_latent(config, arch, split, fields);
  } else {
    fields.emplace_back(arch + ".attention.key_length", u32(config.head_dim));
    fields.emplace_back(arch + ".attention.value_length", u32(config.head_dim));
    fields.emplace_back(arch + ".rope.dimension_count", u32(config.head_dim));
  }
  if (config.moe) add_experts(config, arch, fields);
  if (config.rope.kind == format::RopeConfig::Kind::kYarn) add_yarn(config, arch, fields);
  return fields;
}

/// One tensor as it will be written, under its Hugging Face name.
struct Values {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

class Converter {
 public:
  Converter(const Golden& golden, const ModelConfig& config, const std::string& arch,
            const GgufOptions& options)
      : golden_(golden), config_(config), arch_(arch), options_(options) {}

  std::map<std::string, Values> run() {
    for (const TensorSpec& tensor : golden_.tensors) convert(tensor);
    return std::move(all_);
  }

 private:
  void convert(const TensorSpec& tensor) {
    std::vector<float> values = golden::tensor_values(golden_, tensor);
    for (float& value : values) {
      if (tensor.type == DType::kF32) continue;
      value = std::bit_cast<float>(static_cast<std::uint32_t>(golden::to_bf16(value)) << 16);
    }
    if (const std::size_t at = tensor.name.find(".experts."); at != std::string::npos) {
      return stack(tensor, at + 9, values);
    }
    if (options_.split_latent_heads && tensor.name.ends_with("kv_b_proj.weight")) {
      return split(tensor, values);
    }
    const bool turned = tensor.name.find("q_proj") != std::string::npos ||
                        tensor.name.find("k_proj") != std::string::npos;
    if (arch_ == "llama" && turned) {
      values = interleave_rows(values, tensor.shape[0], config_.head_dim);
    }
    all_[tensor.name] = {tensor.shape, std::move(values)};
  }

  /// "….experts.3.up_proj.weight" to its place in "….experts.up_proj.weight".
  void stack(const TensorSpec& tensor, std::size_t number_at, const std::vector<float>& values) {
    const std::size_t dot = tensor.name.find('.', number_at);
    const std::int64_t expert = std::stoll(tensor.name.substr(number_at, dot - number_at));
    Values& stacked = all_[tensor.name.substr(0, number_at) + tensor.name.substr(dot + 1)];
    stacked.shape = {config_.moe->num_experts, tensor.shape[0], tensor.shape[1]};
    stacked.values.resize(values.size() * static_cast<std::size_t>(config_.moe->num_experts));
    std::copy(values.begin(), values.end(), stacked.values.begin() + expert * tensor.elements());
  }

  void split(const TensorSpec& tensor, const std::vector<float>& values) {
    const format::MlaConfig& mla = *config_.mla;
    const std::int64_t nope = mla.qk_nope_head_dim, rank = mla.kv_lora_rank;
    Values keys{{config_.num_heads, rank, nope}, {}};
    Values heads{{config_.num_heads, mla.v_head_dim, rank}, {}};
    for (std::int64_t h = 0; h < config_.num_heads; ++h) {
      const float* head = values.data() + h * (nope + mla.v_head_dim) * rank;
      for (std::int64_t r = 0; r < rank; ++r) {
        for (std::int64_t i = 0; i < nope; ++i) keys.values.push_back(head[i * rank + r]);
      }
      heads.values.insert(heads.values.end(), head + nope * rank,
                          head + (nope + mla.v_head_dim) * rank);
    }
    std::string name = tensor.name;
    replace(name, "self_attn.kv_b_proj", "attn_k_b");
    all_[name] = std::move(keys);
    replace(name, "attn_k_b", "attn_v_b");
    all_[name] = std::move(heads);
  }

  const Golden& golden_;
  const ModelConfig& config_;
  const std::string& arch_;
  const GgufOptions& options_;
  std::map<std::string, Values> all_;
};

}  // namespace

Encode encode_as(DType type) {
  return [type](const std::string& name, const std::vector<std::int64_t>& shape,
                const std::vector<float>& values) {
    const DType used = shape.size() > 1 ? type : DType::kF32;
    return StoredTensor{name, used, shape, golden::quantize(used, values)};
  };
}

std::string golden_gguf(const Golden& golden, const Encode& encode, const GgufOptions& options) {
  const ModelConfig config = format::parse_model_config(golden.config_json).value();
  const std::string arch = architecture_of(config);
  std::vector<StoredTensor> tensors;
  for (const auto& [name, tensor] : Converter(golden, config, arch, options).run()) {
    StoredTensor stored = encode(name, tensor.shape, tensor.values);
    stored.name = gguf_name(name);
    tensors.push_back(std::move(stored));
  }
  return golden::gguf_text(gguf_fields(config, arch, options), tensors);
}

}  // namespace bundle::model
