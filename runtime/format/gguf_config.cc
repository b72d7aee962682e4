// GGUF names its architectures after llama.cpp's code, not after the models: "llama" holds Llama,
// Mistral and Mixtral, "deepseek2" holds DeepSeek-V2 and -V3. Here they get Hugging Face's names.
#include "runtime/format/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "runtime/format/model_limits.h"

namespace bundle::format {
namespace {

constexpr const char* kWhere = "GGUF metadata";

/// How llama.cpp numbers the scoring of experts.
constexpr std::int64_t kSigmoidGating = 2;

struct GgufArchitecture {
  std::string_view name;
  bool interleaved;  // rotary pairs are (2i, 2i+1)
  bool qk_norm = false;
};

constexpr GgufArchitecture kArchitectures[] = {
    {"llama", true},        {"mistral3", true},        {"qwen2", false},
    {"qwen3", false, true}, {"qwen3moe", false, true}, {"deepseek2", true},
};

Result<const GgufArchitecture*> architecture_of(const GgufMetadata& metadata) {
  BUNDLE_TRY(const std::string name, metadata.get_string("general.architecture"));
  std::vector<std::string> names;
  for (const GgufArchitecture& known : kArchitectures) {
    if (known.name == name) return &known;
    names.emplace_back(known.name);
  }
  std::string remedy = "Known are";
  for (const std::string& known : names) remedy += (&known == &names[0] ? " " : ", ") + known;
  const std::string near = nearest(name, names);
  remedy += near.empty() ? "." : ". Did you mean " + near + "?";
  return bad_input("the architecture '" + name + "' is not supported", "general.architecture",
                   std::move(remedy));
}

class Reader {
 public:
  Reader(const Checkpoint& checkpoint, const GgufArchitecture& architecture)
      : checkpoint_(checkpoint), metadata_(*checkpoint.gguf()), architecture_(architecture) {}

  Result<ModelConfig> read() {
    BUNDLE_CHECK(read_sizes());
    BUNDLE_CHECK(read_heads());
    BUNDLE_CHECK(read_experts());
    BUNDLE_CHECK(read_rope());
    BUNDLE_CHECK(check_rotary_size());
    BUNDLE_CHECK(read_attention());
    BUNDLE_CHECK(read_tokens());
    BUNDLE_CHECK(read_sampling());
    name_architecture();
    BUNDLE_CHECK(check_limits(config_, size_names(), kWhere));
    return std::move(config_);
  }

 private:
  std::string key(std::string_view name) const {
    return std::string(architecture_.name) + '.' + std::string(name);
  }
  bool has(std::string_view name) const { return metadata_.find(key(name)) != nullptr; }
  bool is(std::string_view name) const { return architecture_.name == name; }

  SizeNames size_names() const {
    return {key("vocab_size"),           key("embedding_length"),
            key("feed_forward_length"),  key("block_count"),
            key("attention.head_count"), key("attention.head_count_kv"),
            key("attention.key_length"), key("context_length")};
  }

  /// Some converters write one value for each layer; they must be equal.
  Result<std::int64_t> uniform_int(std::string_view name) const {
    const std::string full = key(name);
    const auto list = metadata_.get_ints(full);
    if (list.has_error()) return metadata_.get_int(full);
    if (list->empty() || std::count(list->begin(), list->end(), list->front()) !=
                             static_cast<std::ptrdiff_t>(list->size())) {
      return bad_input("'" + full + "' varies by layer, which is not supported", kWhere);
    }
    return list->front();
  }
  Result<std::int64_t> int_or(std::string_view name, std::int64_t fallback) const {
    if (!has(name)) return fallback;
    return uniform_int(name);
  }
  Result<double> double_or(std::string_view name, double fallback) const {
    return metadata_.get_double_or(key(name), fallback);
  }

  Status read_sizes() {
    BUNDLE_TRY(config_.hidden_size, uniform_int("embedding_length"));
    BUNDLE_TRY(config_.num_mtp_layers, int_or("nextn_predict_layers", 0));
    BUNDLE_TRY(const std::int64_t blocks, uniform_int("block_count"));
    // The count includes the prediction layers.
    if (config_.num_mtp_layers < 0 || config_.num_mtp_layers >= std::max<std::int64_t>(blocks, 1)) {
      return bad_input("'" + key("nextn_predict_layers") + "' is out of range", kWhere);
    }
    config_.num_layers = blocks - config_.num_mtp_layers;
    BUNDLE_TRY(config_.intermediate_size, uniform_int("feed_forward_length"));
    BUNDLE_TRY(config_.max_positions, uniform_int("context_length"));
    BUNDLE_TRY(config_.rms_norm_eps, double_or("attention.layer_norm_rms_epsilon", 1e-6));
    BUNDLE_TRY(config_.vocab_size, int_or("vocab_size", vocabulary()));
    return {};
  }

  /// Where the metadata lack the size: rows of the embedding, else tokens of the tokenizer.
  std::int64_t vocabulary() const {
    const TensorView* embedding = checkpoint_.find("token_embd.weight");
    if (embedding != nullptr && !embedding->shape.empty()) return embedding->shape[0];
    const auto* tokens = metadata_.find_strings("tokenizer.ggml.tokens");
    return tokens == nullptr ? 0 : static_cast<std::int64_t>(tokens->size());
  }

  Status read_heads() {
    BUNDLE_TRY(config_.num_heads, uniform_int("attention.head_count"));
    BUNDLE_TRY(config_.num_kv_heads, int_or("attention.head_count_kv", config_.num_heads));
    if (is("deepseek2")) return read_latent();
    if (has("attention.key_length")) {
      BUNDLE_TRY(config_.head_dim, uniform_int("attention.key_length"));
    } else if (config_.num_heads > 0 && config_.hidden_size % config_.num_heads == 0) {
      config_.head_dim = config_.hidden_size / config_.num_heads;
    } else {
      return bad_input("'" + key("embedding_length") + "' is no multiple of '" +
                           key("attention.head_count") + "', and there is no key_length",
                       kWhere);
    }
    BUNDLE_TRY(const std::int64_t value, int_or("attention.value_length", config_.head_dim));
    if (value == config_.head_dim) return {};
    return bad_input("'" + key("attention.value_length") + "' differs from the key length", kWhere);
  }

  /// Newer files store the latent sizes as key_length and value_length, and those of a head as
  /// key_length_mla and value_length_mla.
  Status read_latent() {
    MlaConfig mla;
    BUNDLE_TRY(const std::int64_t key_length, int_or("attention.key_length", 0));
    BUNDLE_TRY(const std::int64_t value_length, int_or("attention.value_length", 0));
    BUNDLE_TRY(config_.head_dim, int_or("attention.key_length_mla", key_length));
    BUNDLE_TRY(mla.v_head_dim, int_or("attention.value_length_mla", value_length));
    BUNDLE_TRY(mla.q_lora_rank, int_or("attention.q_lora_rank", 0));
    BUNDLE_TRY(mla.kv_lora_rank, uniform_int("attention.kv_lora_rank"));
    BUNDLE_TRY(mla.qk_rope_head_dim, uniform_int("rope.dimension_count"));
    if (__builtin_sub_overflow(config_.head_dim, mla.qk_rope_head_dim, &mla.qk_nope_head_dim)) {
      return bad_input("'" + key("rope.dimension_count") + "' is out of range", kWhere);
    }
    config_.num_kv_heads = config_.num_heads;  // files with one latent head say 1
    config_.mla = mla;
    return {};
  }

  Status read_experts() {
    BUNDLE_TRY(const std::int64_t experts, int_or("expert_count", 0));
    if (experts == 0) return {};
    const bool latent = is("deepseek2");
    MoeConfig moe;
    moe.num_experts = experts;
    BUNDLE_TRY(moe.num_experts_per_token, uniform_int("expert_used_count"));
    BUNDLE_TRY(moe.intermediate_size,
               int_or("expert_feed_forward_length", config_.intermediate_size));
    BUNDLE_TRY(moe.num_shared_experts, int_or("expert_shared_count", 0));
    BUNDLE_TRY(moe.first_dense_layers, int_or("leading_dense_block_count", 0));
    BUNDLE_TRY(moe.num_groups, int_or("expert_group_count", 1));
    BUNDLE_TRY(moe.top_groups, int_or("expert_group_used_count", 1));
    BUNDLE_TRY(moe.routed_scaling_factor, double_or("expert_weights_scale", 1));
    BUNDLE_TRY(moe.norm_topk_prob, metadata_.get_bool_or(key("expert_weights_norm"), !latent));
    BUNDLE_TRY(const std::int64_t gating, int_or("expert_gating_func", 1));
    if (gating < 0 || gating > kSigmoidGating) {
      return bad_input("'" + key("expert_gating_func") + "' is " + std::to_string(gating) +
                           ", which is not supported",
                       kWhere);
    }
    moe.scoring = gating == kSigmoidGating ? "sigmoid" : "softmax";
    if (gating == kSigmoidGating) {
      moe.topk_method = "noaux_tc";
    } else if (moe.num_groups > 1) {
      moe.topk_method = "group_limited_greedy";
    }
    config_.moe = std::move(moe);
    return {};
  }

  Status read_rope() {
    RopeConfig& rope = config_.rope;
    rope.interleaved = architecture_.interleaved;
    BUNDLE_TRY(rope.theta, double_or("rope.freq_base", 10000));
    BUNDLE_TRY(const std::string type, metadata_.get_string_or(key("rope.scaling.type"), ""));
    // Files from before the type have a bare linear factor.
    BUNDLE_TRY(const double old_factor, double_or("rope.scale_linear", 1));
    BUNDLE_TRY(rope.factor, double_or("rope.scaling.factor", old_factor));
    if (type == "linear" || (type.empty() && rope.factor != 1)) {
      rope.kind = RopeConfig::Kind::kLinear;
      return {};
    }
    if (type == "yarn") return read_yarn();
    if (type.empty() || type == "none") {
      rope.factor = 1;
      return {};
    }
    return bad_input("the rope scaling '" + type + "' is not supported", kWhere,
                     "Known are none, linear and yarn.");
  }

  Status read_yarn() {
    RopeConfig& rope = config_.rope;
    rope.kind = RopeConfig::Kind::kYarn;
    BUNDLE_TRY(rope.original_max_positions,
               int_or("rope.scaling.original_context_length", config_.max_positions));
    BUNDLE_TRY(rope.beta_fast, double_or("rope.scaling.yarn_beta_fast", 32));
    BUNDLE_TRY(rope.beta_slow, double_or("rope.scaling.yarn_beta_slow", 1));
    if (has("rope.scaling.yarn_attn_factor")) {
      BUNDLE_TRY(const double factor, double_or("rope.scaling.yarn_attn_factor", 1));
      rope.attention_factor = factor;
    }
    if (!is("deepseek2")) return {};
    // Converters store a tenth of mscale_all_dim; every published model has mscale equal to it.
    BUNDLE_TRY(const double log_multiplier, double_or("rope.scaling.yarn_log_multiplier", 0));
    rope.mscale_all_dim = log_multiplier / 0.1;
    rope.mscale = rope.mscale_all_dim;
    return {};
  }

  Status check_rotary_size() const {
    if (config_.mla) return {};
    BUNDLE_TRY(const std::int64_t rotary, int_or("rope.dimension_count", config_.head_dim));
    if (rotary == config_.head_dim) return {};
    return bad_input("'" + key("rope.dimension_count") + "' is " + std::to_string(rotary) +
                         " of a head's " + std::to_string(config_.head_dim) +
                         ": partial rotary embeddings are not supported",
                     kWhere);
  }

  Status read_attention() {
    config_.qk_norm = architecture_.qk_norm;
    config_.tied_embeddings = checkpoint_.find("output.weight") == nullptr;
    // Latent attention has its biases beside other matrices.
    config_.attention_bias = checkpoint_.find("blk.0.attn_q.bias") != nullptr ||
                             checkpoint_.find("blk.0.attn_kv_a_mqa.bias") != nullptr;
    BUNDLE_TRY(const double temperature, double_or("attention.temperature_scale", 0));
    if (temperature != 0) {
      return bad_input("'" + key("attention.temperature_scale") + "' is not supported", kWhere);
    }
    BUNDLE_TRY(const std::int64_t window, int_or("attention.sliding_window", 0));
    config_.sliding_window = window >= config_.max_positions ? 0 : window;
    return {};
  }

  Status read_tokens() {
    for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
      BUNDLE_TRY(const auto id, token_id(std::string("tokenizer.ggml.") + name));
      if (id) add_eos(*id);
    }
    BUNDLE_TRY(config_.bos_id, token_id("tokenizer.ggml.bos_token_id"));
    add_known_end_tokens();
    return {};
  }

  Result<std::optional<std::int32_t>> token_id(const std::string& name) const {
    if (metadata_.find(name) == nullptr) return std::optional<std::int32_t>();
    BUNDLE_TRY(const std::int64_t id, metadata_.get_int(name));
    if (id >= 0 && id <= std::numeric_limits<std::int32_t>::max()) {
      return std::optional<std::int32_t>(static_cast<std::int32_t>(id));
    }
    // Converters write -1, as 32 bits without sign, for a token that the model does not have.
    if (id == -1 || id == 0xFFFFFFFF) return std::optional<std::int32_t>();
    return bad_input("'" + name + "' is " + std::to_string(id) + ", which is no token id", kWhere);
  }

  void add_eos(std::int32_t id) {
    std::vector<std::int32_t>& ids = config_.eos_ids;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }

  /// GGUF has room for few end tokens; chat models use more, which are known by their spelling.
  void add_known_end_tokens() {
    static constexpr std::string_view spellings[] = {
        "<|eot_id|>",    "<|im_end|>",      "<|eom_id|>",    "<|end|>",
        "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<｜end▁of▁sentence｜>"};
    constexpr std::int64_t control = 3;
    const auto* tokens = metadata_.find_strings("tokenizer.ggml.tokens");
    const auto types = metadata_.get_ints("tokenizer.ggml.token_type");
    if (tokens == nullptr || types.has_error()) return;
    const std::size_t count = std::min(tokens->size(), types->size());
    for (std::size_t i = 0; i < count; ++i) {
      if ((*types)[i] != control) continue;
      if (std::find(std::begin(spellings), std::end(spellings), (*tokens)[i]) !=
          std::end(spellings)) {
        add_eos(static_cast<std::int32_t>(i));
      }
    }
  }

  Status read_sampling() {
    SamplingDefaults& sampling = config_.sampling;
    BUNDLE_CHECK(optional_double("general.sampling.temp", sampling.temperature));
    BUNDLE_CHECK(optional_double("general.sampling.top_p", sampling.top_p));
    BUNDLE_CHECK(optional_double("general.sampling.min_p", sampling.min_p));
    BUNDLE_CHECK(optional_double("general.sampling.penalty_repeat", sampling.repetition_penalty));
    if (metadata_.find("general.sampling.top_k") == nullptr) return {};
    BUNDLE_TRY(const std::int64_t top_k, metadata_.get_int("general.sampling.top_k"));
    sampling.top_k = top_k;
    return {};
  }

  Status optional_double(const char* name, std::optional<double>& out) const {
    if (metadata_.find(name) == nullptr) return {};
    BUNDLE_TRY(const double value, metadata_.get_double_or(name, 0));
    if (!std::isfinite(value) || value < 0) {
      return bad_input("'" + std::string(name) + "' is out of range", kWhere);
    }
    out = value;
    return {};
  }

  void name_architecture() {
    const bool experts = config_.moe.has_value();
    if (is("llama")) config_.architecture = experts ? "MixtralForCausalLM" : "LlamaForCausalLM";
    if (is("mistral3")) config_.architecture = "MistralForCausalLM";
    if (is("qwen2")) config_.architecture = "Qwen2ForCausalLM";
    if (is("qwen3")) config_.architecture = "Qwen3ForCausalLM";
    if (is("qwen3moe")) config_.architecture = "Qwen3MoeForCausalLM";
    if (is("deepseek2")) {
      const bool v3 = experts && config_.moe->scoring == "sigmoid";
      config_.architecture = v3 ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM";
    }
  }

  const Checkpoint& checkpoint_;
  const GgufMetadata& metadata_;
  const GgufArchitecture& architecture_;
  ModelConfig config_;
};

}  // namespace

Result<ModelConfig> config_from_gguf(const Checkpoint& checkpoint) {
  BUNDLE_TRY(const GgufArchitecture* architecture, architecture_of(*checkpoint.gguf()));
  return Reader(checkpoint, *architecture).read();
}

}  // namespace bundle::format
