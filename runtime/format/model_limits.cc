#include "runtime/format/model_limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/text.h"

namespace bundle::format {
namespace {

/// Wide enough for every model to come, narrow enough that no product of three leaves 63 bits.
constexpr std::int64_t kMaxWidth = 1 << 20;
constexpr std::int64_t kMaxVocab = 1 << 24;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;
constexpr std::int64_t kMaxExperts = 1 << 16;
/// Of scores, whose square is multiplied with; published are 0.707 and 1.
constexpr double kMaxScale = 100;

class Checker {
 public:
  explicit Checker(std::string_view where) : where_(where) {}

  Error refuse(std::string what) const { return bad_input(std::move(what), where_); }

  Status size(const std::string& key, std::int64_t value, std::int64_t most) const {
    if (value >= 1 && value <= most) return {};
    return refuse("'" + key + "' is " + std::to_string(value) + ", not between 1 and " +
                  std::to_string(most));
  }

  Status positive(const std::string& key, double value) const {
    if (std::isfinite(value) && value > 0) return {};
    return refuse("'" + key + "' is " + std::to_string(value) + ", not a positive number");
  }

  Status within(const std::string& key, double value, double most) const {
    if (value >= 0 && value <= most) return {};
    return refuse("'" + key + "' is " + print_json(value) + ", not between 0 and " +
                  print_json(most));
  }

  /// Of what kernels compute with in 32 bits, where too large is infinite and too small is zero.
  Status positive_float(const std::string& key, double value) const {
    BUNDLE_CHECK(positive(key, value));
    const bool fits =
        value <= std::numeric_limits<float>::max() && value >= std::numeric_limits<float>::min();
    if (fits) return {};
    return refuse("'" + key + "' is " + print_json(value) + ", which is no 32-bit float");
  }

 private:
  std::string where_;
};

Status check_sizes(const ModelConfig& config, const SizeNames& names, const Checker& check) {
  BUNDLE_CHECK(check.size(names.vocab_size, config.vocab_size, kMaxVocab));
  BUNDLE_CHECK(check.size(names.hidden_size, config.hidden_size, kMaxWidth));
  BUNDLE_CHECK(check.size(names.intermediate_size, config.intermediate_size, kMaxWidth));
  BUNDLE_CHECK(check.size(names.num_layers, config.num_layers, kMaxLayers));
  BUNDLE_CHECK(check.size(names.num_heads, config.num_heads, kMaxWidth));
  BUNDLE_CHECK(check.size(names.num_kv_heads, config.num_kv_heads, kMaxWidth));
  BUNDLE_CHECK(check.size(names.head_dim, config.head_dim, kMaxWidth));
  BUNDLE_CHECK(check.size(names.max_positions, config.max_positions, kMaxPositions));
  if (config.num_heads % config.num_kv_heads != 0) {
    return check.refuse("'" + names.num_heads + "' (" + std::to_string(config.num_heads) +
                        ") is no multiple of '" + names.num_kv_heads + "' (" +
                        std::to_string(config.num_kv_heads) + ")");
  }
  if (config.head_dim % 2 != 0) {
    return check.refuse("'" + names.head_dim + "' is " + std::to_string(config.head_dim) +
                        ": rotary embeddings need an even size");
  }
  return {};
}

Status check_rope(const RopeConfig& rope, const Checker& check) {
  using Kind = RopeConfig::Kind;
  BUNDLE_CHECK(check.positive("rope_theta", rope.theta));
  if (rope.kind == Kind::kDefault) return {};
  BUNDLE_CHECK(check.positive("rope factor", rope.factor));
  if (rope.kind == Kind::kLinear) return {};
  BUNDLE_CHECK(
      check.size("original_max_position_embeddings", rope.original_max_positions, kMaxPositions));
  if (rope.kind == Kind::kLlama3) {
    BUNDLE_CHECK(check.positive("low_freq_factor", rope.low_freq_factor));
    BUNDLE_CHECK(check.positive("high_freq_factor", rope.high_freq_factor));
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      return check.refuse("the rope's high_freq_factor is not above its low_freq_factor");
    }
  }
  if (rope.kind == Kind::kYarn) {
    BUNDLE_CHECK(check.positive("beta_fast", rope.beta_fast));
    BUNDLE_CHECK(check.positive("beta_slow", rope.beta_slow));
    if (rope.theta == 1.0) return check.refuse("'rope_theta' is 1, which yarn cannot scale");
    BUNDLE_CHECK(check.within("mscale", rope.mscale, kMaxScale));
    BUNDLE_CHECK(check.within("mscale_all_dim", rope.mscale_all_dim, kMaxScale));
    if (rope.attention_factor) {
      BUNDLE_CHECK(check.positive("attention_factor", *rope.attention_factor));
    }
  }
  return {};
}

Status check_moe(const MoeConfig& moe, const Checker& check) {
  BUNDLE_CHECK(check.size("number of experts", moe.num_experts, kMaxExperts));
  BUNDLE_CHECK(check.size("experts per token", moe.num_experts_per_token, moe.num_experts));
  BUNDLE_CHECK(check.size("expert intermediate size", moe.intermediate_size, kMaxWidth));
  BUNDLE_CHECK(check.size("number of expert groups", moe.num_groups, moe.num_experts));
  BUNDLE_CHECK(check.size("expert groups used", moe.top_groups, moe.num_groups));
  if (moe.num_experts % moe.num_groups != 0) {
    return check.refuse(std::to_string(moe.num_experts) + " experts do not divide into " +
                        std::to_string(moe.num_groups) + " groups");
  }
  const std::int64_t group_size = moe.num_experts / moe.num_groups;
  if (moe.topk_method != "greedy" && moe.top_groups * group_size < moe.num_experts_per_token) {
    return check.refuse(std::to_string(moe.num_experts_per_token) +
                        " experts a token are more than " + std::to_string(moe.top_groups) +
                        " groups of " + std::to_string(group_size) + " hold");
  }
  if (moe.num_shared_experts < 0 || moe.num_shared_experts > kMaxExperts ||
      moe.first_dense_layers < 0) {
    return check.refuse("a number of shared experts or of first dense layers is out of range");
  }
  if (moe.scoring != "softmax" && moe.scoring != "sigmoid") {
    return check.refuse("the expert scoring '" + moe.scoring + "' is not supported");
  }
  const std::vector<std::string> methods = {"greedy", "group_limited_greedy", "noaux_tc"};
  if (std::find(methods.begin(), methods.end(), moe.topk_method) == methods.end()) {
    return check.refuse("the expert choice '" + moe.topk_method + "' is not supported");
  }
  return check.positive_float("routed_scaling_factor", moe.routed_scaling_factor);
}

Status check_mla(const MlaConfig& mla, const Checker& check) {
  if (mla.q_lora_rank != 0) {
    BUNDLE_CHECK(check.size("q_lora_rank", mla.q_lora_rank, kMaxWidth));
  }
  BUNDLE_CHECK(check.size("kv_lora_rank", mla.kv_lora_rank, kMaxWidth));
  BUNDLE_CHECK(check.size("qk_nope_head_dim", mla.qk_nope_head_dim, kMaxWidth));
  BUNDLE_CHECK(check.size("qk_rope_head_dim", mla.qk_rope_head_dim, kMaxWidth));
  BUNDLE_CHECK(check.size("v_head_dim", mla.v_head_dim, kMaxWidth));
  if (mla.qk_rope_head_dim % 2 == 0) return {};
  return check.refuse("'qk_rope_head_dim' is odd: rotary embeddings need an even size");
}

}  // namespace

Status check_limits(const ModelConfig& config, const SizeNames& names, std::string_view where) {
  const Checker check(where);
  BUNDLE_CHECK(check_sizes(config, names, check));
  if (!std::isfinite(config.rms_norm_eps) || config.rms_norm_eps < 0 || config.rms_norm_eps > 1) {
    return check.refuse("the normalization epsilon is not between 0 and 1");
  }
  if (config.sliding_window < 0) return check.refuse("'sliding_window' is negative");
  if (config.num_mtp_layers < 0 || config.num_mtp_layers > kMaxLayers) {
    return check.refuse("the number of next-token prediction layers is out of range");
  }
  BUNDLE_CHECK(check_rope(config.rope, check));
  if (config.mla) BUNDLE_CHECK(check_mla(*config.mla, check));
  if (config.moe) BUNDLE_CHECK(check_moe(*config.moe, check));
  return {};
}

Status check_architecture(const std::string& architecture, std::string_view where) {
  const std::vector<std::string>& known = known_architectures();
  if (std::find(known.begin(), known.end(), architecture) != known.end()) return {};
  std::string remedy = "Known are ";
  for (const std::string& name : known) {
    if (&name != &known.front()) remedy += ", ";
    remedy += name;
  }
  remedy += '.';
  const std::string near = nearest(architecture, known);
  if (!near.empty()) remedy += " Did you mean " + near + "?";
  return bad_input("the architecture '" + architecture + "' is not supported", std::string(where),
                   std::move(remedy));
}

}  // namespace bundle::format
