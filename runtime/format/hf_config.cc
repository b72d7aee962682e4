#include "runtime/format/hf_config.h"

#include <algorithm>
#include <limits>

#include "runtime/format/families.h"
#include "runtime/format/hf_quantization.h"
#include "runtime/format/model_limits.h"

namespace bundle::format {
namespace {

constexpr const char* kWhere = "config.json";
constexpr const char* kGeneration = "generation_config.json";

bool is_given(const Json& json, const char* key) {
  const Json* value = find(json, key);
  return value != nullptr && !value->is_null();
}

const SizeNames& size_names() {
  static const SizeNames names{
      "vocab_size",          "hidden_size",         "intermediate_size", "num_hidden_layers",
      "num_attention_heads", "num_key_value_heads", "head_dim",          "max_position_embeddings"};
  return names;
}

/// From `architectures`, else from `model_type`.
Result<const Family*> family_of(const Json& json) {
  const Json* list = find(json, "architectures");
  if (list != nullptr && list->is_array() && !list->get_array().empty() &&
      list->get_array()[0].is_string()) {
    const std::string name(list->get_array()[0].get_string());
    BUNDLE_CHECK(check_architecture(name, kWhere));
    return family_of_architecture(name);
  }
  BUNDLE_TRY(const std::string type, get_string_or(json, "model_type", "", kWhere));
  if (type.empty()) {
    return bad_input("it names neither 'architectures' nor 'model_type'", kWhere,
                     "Is this the config.json of a language model?");
  }
  if (const Family* family = family_of_model_type(type)) return family;
  BUNDLE_CHECK(check_architecture(type, kWhere));
  return family_of_architecture(type);
}

class Reader {
 public:
  Reader(const Json& json, const Family& family) : json_(json), family_(family) {}

  Result<ModelConfig> read(std::int64_t vocab_size_hint) {
    config_.architecture = family_.architecture;
    BUNDLE_CHECK(check_settings());
    BUNDLE_CHECK(read_sizes(vocab_size_hint));
    BUNDLE_CHECK(read_heads());
    BUNDLE_CHECK(read_flags());
    BUNDLE_CHECK(read_quantization());
    BUNDLE_CHECK(read_experts());
    BUNDLE_CHECK(read_sliding());
    BUNDLE_TRY(config_.rope, rope_from_json(json_, config_.max_positions, family_.rope_theta));
    config_.rope.interleaved = false;
    if (family_.mla) {
      BUNDLE_TRY(config_.rope.interleaved, get_bool_or(json_, "rope_interleave", true, kWhere));
    }
    return std::move(config_);
  }

 private:
  Result<std::int64_t> size(const char* key) const { return get_int(json_, key, kWhere); }
  Result<std::int64_t> size_or(const char* key, std::int64_t fallback) const {
    return get_int_or(json_, key, fallback, kWhere);
  }

  /// Settings that change every result and that nothing here implements.
  Status check_settings() const {
    BUNDLE_TRY(const std::string act, get_string_or(json_, "hidden_act", "silu", kWhere));
    if (act != "silu" && act != "swish") {
      return bad_input("the activation '" + act + "' is not supported, only silu", kWhere);
    }
    BUNDLE_TRY(const bool mlp_bias, get_bool_or(json_, "mlp_bias", false, kWhere));
    if (mlp_bias) return bad_input("'mlp_bias' is not supported", kWhere);
    return {};
  }

  Status read_sizes(std::int64_t vocab_size_hint) {
    if (vocab_size_hint > 0) {
      BUNDLE_TRY(config_.vocab_size, size_or("vocab_size", vocab_size_hint));
    } else {
      BUNDLE_TRY(config_.vocab_size, size("vocab_size"));
    }
    BUNDLE_TRY(config_.hidden_size, size("hidden_size"));
    BUNDLE_TRY(config_.intermediate_size, size("intermediate_size"));
    BUNDLE_TRY(config_.num_layers, size("num_hidden_layers"));
    BUNDLE_TRY(config_.max_positions, size("max_position_embeddings"));
    BUNDLE_TRY(config_.num_mtp_layers, size_or("num_mtp_layers", 0));
    BUNDLE_TRY(config_.num_mtp_layers, size_or("num_nextn_predict_layers", config_.num_mtp_layers));
    return {};
  }

  Status read_heads() {
    BUNDLE_TRY(config_.num_heads, size("num_attention_heads"));
    BUNDLE_TRY(config_.num_kv_heads, size_or("num_key_value_heads", config_.num_heads));
    if (family_.mla) return read_latent();
    if (is_given(json_, "head_dim")) {
      BUNDLE_TRY(config_.head_dim, size("head_dim"));
      return {};
    }
    config_.head_dim = family_.head_dim;
    if (config_.head_dim != 0 || config_.num_heads < 1) return {};
    if (config_.hidden_size % config_.num_heads != 0) {
      return bad_input(
          "'hidden_size' is no multiple of 'num_attention_heads', and there is no "
          "'head_dim'",
          kWhere);
    }
    config_.head_dim = config_.hidden_size / config_.num_heads;
    return {};
  }

  Status read_latent() {
    MlaConfig mla;
    // Only null means that there is no low-rank query; transformers' default is a rank.
    const bool has_rank = find(json_, "q_lora_rank") == nullptr || is_given(json_, "q_lora_rank");
    BUNDLE_TRY(mla.q_lora_rank, size_or("q_lora_rank", has_rank ? 1536 : 0));
    BUNDLE_TRY(mla.kv_lora_rank, size_or("kv_lora_rank", 512));
    BUNDLE_TRY(mla.qk_nope_head_dim, size_or("qk_nope_head_dim", 128));
    BUNDLE_TRY(mla.qk_rope_head_dim, size_or("qk_rope_head_dim", 64));
    BUNDLE_TRY(mla.v_head_dim, size_or("v_head_dim", 128));
    if (__builtin_add_overflow(mla.qk_nope_head_dim, mla.qk_rope_head_dim, &config_.head_dim)) {
      return bad_input("'qk_nope_head_dim' is out of range", kWhere);
    }
    config_.mla = mla;
    return {};
  }

  Status read_flags() {
    BUNDLE_TRY(config_.rms_norm_eps,
               get_double_or(json_, "rms_norm_eps", family_.rms_norm_eps, kWhere));
    BUNDLE_TRY(config_.tied_embeddings, get_bool_or(json_, "tie_word_embeddings", false, kWhere));
    config_.qk_norm = family_.qk_norm;
    config_.attention_bias = family_.bias == Bias::kAlways;
    if (family_.bias == Bias::kByKey) {
      BUNDLE_TRY(config_.attention_bias, get_bool_or(json_, "attention_bias", false, kWhere));
    }
    return {};
  }

  Status read_quantization() {
    if (!is_given(json_, "quantization_config")) return {};
    BUNDLE_TRY(config_.fp8_blocks, format::read_quantization(*find(json_, "quantization_config")));
    return {};
  }

  Status read_experts() {
    MoeConfig moe;
    switch (family_.experts) {
      case Experts::kNone:
        return {};
      case Experts::kMixtral:
        BUNDLE_CHECK(read_mixtral(moe));
        break;
      case Experts::kQwen:
        BUNDLE_CHECK(read_qwen_experts(moe));
        break;
      case Experts::kDeepseek:
        if (find(json_, "n_routed_experts") != nullptr && !is_given(json_, "n_routed_experts")) {
          return {};
        }
        BUNDLE_CHECK(read_deepseek_experts(moe));
        break;
    }
    config_.moe = std::move(moe);
    return {};
  }

  Status read_mixtral(MoeConfig& moe) const {
    BUNDLE_TRY(moe.num_experts, size("num_local_experts"));
    BUNDLE_TRY(moe.num_experts_per_token, size_or("num_experts_per_tok", 2));
    moe.intermediate_size = config_.intermediate_size;
    moe.norm_topk_prob = true;
    return {};
  }

  Status read_qwen_experts(MoeConfig& moe) const {
    const bool local = is_given(json_, "num_local_experts");
    BUNDLE_TRY(moe.num_experts, size(local ? "num_local_experts" : "num_experts"));
    BUNDLE_TRY(moe.num_experts_per_token, size("num_experts_per_tok"));
    BUNDLE_TRY(moe.intermediate_size, size("moe_intermediate_size"));
    BUNDLE_TRY(moe.norm_topk_prob, get_bool_or(json_, "norm_topk_prob", false, kWhere));
    BUNDLE_TRY(const std::int64_t step, size_or("decoder_sparse_step", 1));
    return read_dense_layers(
        moe, [step](std::int64_t layer) { return (layer + 1) % step == 0; }, "decoder_sparse_step",
        step);
  }

  Status read_deepseek_experts(MoeConfig& moe) const {
    const bool v3 = family_.sigmoid_routing;
    BUNDLE_TRY(moe.num_experts, size("n_routed_experts"));
    BUNDLE_TRY(moe.num_experts_per_token, size("num_experts_per_tok"));
    BUNDLE_TRY(moe.num_shared_experts, size_or("n_shared_experts", 0));
    BUNDLE_TRY(moe.intermediate_size, size("moe_intermediate_size"));
    BUNDLE_TRY(moe.first_dense_layers, size_or("first_k_dense_replace", 0));
    BUNDLE_TRY(moe.num_groups, size_or("n_group", 1));
    BUNDLE_TRY(moe.top_groups, size_or("topk_group", 1));
    BUNDLE_TRY(moe.routed_scaling_factor, get_double_or(json_, "routed_scaling_factor", 1, kWhere));
    BUNDLE_TRY(moe.norm_topk_prob, get_bool_or(json_, "norm_topk_prob", v3, kWhere));
    BUNDLE_TRY(moe.scoring,
               get_string_or(json_, "scoring_func", v3 ? "sigmoid" : "softmax", kWhere));
    BUNDLE_TRY(moe.topk_method,
               get_string_or(json_, "topk_method", v3 ? "noaux_tc" : "greedy", kWhere));
    BUNDLE_TRY(const std::int64_t step, size_or("moe_layer_freq", 1));
    return read_dense_layers(
        moe, [step](std::int64_t layer) { return layer % step == 0; }, "moe_layer_freq", step);
  }

  /// Lists the layers that `sparse` or `mlp_only_layers` make dense.
  template <typename Sparse>
  Status read_dense_layers(MoeConfig& moe, Sparse sparse, const char* key,
                           std::int64_t step) const {
    if (step < 1) return bad_input("'" + std::string(key) + "' is not positive", kWhere);
    const auto within = std::min<std::int64_t>(config_.num_layers, 1 << 16);
    for (std::int64_t layer = moe.first_dense_layers; layer < within; ++layer) {
      if (!sparse(layer)) moe.dense_layers.push_back(layer);
    }
    const Json* only = find(json_, "mlp_only_layers");
    if (only == nullptr || only->is_null()) return {};
    if (!only->is_array()) return bad_input("'mlp_only_layers' is not a list", kWhere);
    for (const Json& layer : only->get_array()) {
      if (!layer.is_int64()) return bad_input("'mlp_only_layers' holds no layer number", kWhere);
      moe.dense_layers.push_back(layer.get_int64());
    }
    std::vector<std::int64_t>& list = moe.dense_layers;
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return {};
  }

  Status read_sliding() {
    if (family_.sliding == Sliding::kNever) return {};
    const bool absent = find(json_, "sliding_window") == nullptr;
    std::int64_t fallback = absent && family_.sliding == Sliding::kUnlessNull ? 4096 : 0;
    if (family_.sliding == Sliding::kOnSwitch || family_.sliding == Sliding::kAllOnSwitch) {
      BUNDLE_TRY(const bool on, get_bool_or(json_, "use_sliding_window", false, kWhere));
      if (!on) return {};
      fallback = absent ? 4096 : 0;
    }
    BUNDLE_TRY(const std::int64_t window, size_or("sliding_window", fallback));
    // A window that holds every position changes nothing.
    config_.sliding_window = window >= config_.max_positions ? 0 : window;
    if (family_.sliding != Sliding::kOnSwitch || config_.sliding_window == 0) return {};
    BUNDLE_CHECK(read_full_layers());
    const auto full = static_cast<std::int64_t>(config_.full_attention_layers.size());
    if (full == config_.num_layers) {
      config_.sliding_window = 0;
      config_.full_attention_layers.clear();
    }
    return {};
  }

  Status read_full_layers() {
    const auto layers = std::min<std::int64_t>(config_.num_layers, 1 << 16);
    if (is_given(json_, "layer_types")) return read_layer_types(layers);
    BUNDLE_TRY(const std::int64_t first, size_or("max_window_layers", 28));
    for (std::int64_t i = 0; i < std::min(first, layers); ++i) {
      config_.full_attention_layers.push_back(i);
    }
    return {};
  }

  Status read_layer_types(std::int64_t layers) {
    const Json& types = *find(json_, "layer_types");
    if (!types.is_array() || static_cast<std::int64_t>(types.get_array().size()) != layers) {
      return bad_input("'layer_types' is not a list with one entry for each layer", kWhere);
    }
    for (std::int64_t i = 0; i < layers; ++i) {
      const Json& type = types.get_array()[static_cast<std::size_t>(i)];
      if (type == Json("full_attention")) {
        config_.full_attention_layers.push_back(i);
      } else if (type != Json("sliding_attention")) {
        return bad_input("'layer_types' holds " + print_json(type) + ", which is not supported",
                         kWhere);
      }
    }
    return {};
  }

  const Json& json_;
  const Family& family_;
  ModelConfig config_;
};

Result<std::int32_t> token_id(const Json& value, const char* key, const char* where) {
  const std::int64_t* id = value.if_int64();
  if (id == nullptr || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
    return bad_input(
        "'" + std::string(key) + "' holds " + print_json(value) + ", which is no token id", where);
  }
  return static_cast<std::int32_t>(*id);
}

/// One id, a list of them, or nothing.
Status add_eos(const Json& json, const char* where, std::vector<std::int32_t>& ids) {
  const Json* value = find(json, "eos_token_id");
  if (value == nullptr || value->is_null()) return {};
  const JsonArray one{*value};
  for (const Json& item : value->is_array() ? value->get_array() : one) {
    BUNDLE_TRY(const std::int32_t id, token_id(item, "eos_token_id", where));
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return {};
}

Status read_optional(const Json& json, const char* key, double least, std::optional<double>& out) {
  if (!is_given(json, key)) return {};
  BUNDLE_TRY(const double value, get_double_or(json, key, 0, kGeneration));
  if (value < least) return bad_input("'" + std::string(key) + "' is out of range", kGeneration);
  out = value;
  return {};
}

Status read_generation(const Json& json, SamplingDefaults& sampling) {
  if (!json.is_object()) return bad_input("it is no JSON object", kGeneration);
  BUNDLE_CHECK(read_optional(json, "temperature", 0, sampling.temperature));
  BUNDLE_CHECK(read_optional(json, "top_p", 0, sampling.top_p));
  BUNDLE_CHECK(read_optional(json, "min_p", 0, sampling.min_p));
  BUNDLE_CHECK(read_optional(json, "repetition_penalty", 0, sampling.repetition_penalty));
  if (!is_given(json, "top_k")) return {};
  BUNDLE_TRY(const std::int64_t top_k, get_int(json, "top_k", kGeneration));
  sampling.top_k = top_k;
  return {};
}

Status read_tokens(const Json& json, const Json* generation, ModelConfig& config) {
  if (generation != nullptr) {
    BUNDLE_CHECK(read_generation(*generation, config.sampling));
    BUNDLE_CHECK(add_eos(*generation, kGeneration, config.eos_ids));
  }
  BUNDLE_CHECK(add_eos(json, kWhere, config.eos_ids));
  if (!is_given(json, "bos_token_id")) return {};
  BUNDLE_TRY(const std::int32_t bos, token_id(*find(json, "bos_token_id"), "bos_token_id", kWhere));
  config.bos_id = bos;
  return {};
}

}  // namespace

Result<ModelConfig> config_from_json(const Json& config, const Json* generation,
                                     std::int64_t vocab_size_hint) {
  if (!config.is_object()) return bad_input("it is no JSON object", kWhere);
  BUNDLE_TRY(const Family* family, family_of(config));
  BUNDLE_TRY(ModelConfig result, Reader(config, *family).read(vocab_size_hint));
  BUNDLE_CHECK(read_tokens(config, generation, result));
  BUNDLE_CHECK(check_limits(result, size_names(), kWhere));
  return result;
}

}  // namespace bundle::format
