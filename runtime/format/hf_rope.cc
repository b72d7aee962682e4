#include "runtime/format/hf_config.h"

namespace bundle::format {
namespace {

using Kind = RopeConfig::Kind;

constexpr const char* kWhere = "config.json";

struct KindName {
  std::string_view name;
  Kind kind;
};

constexpr KindName kKinds[] = {
    {"default", Kind::kDefault}, {"linear", Kind::kLinear},   {"llama3", Kind::kLlama3},
    {"yarn", Kind::kYarn},       {"dynamic", Kind::kDynamic},
};

/// transformers takes `rope_scaling` before `rope_parameters`, and an empty one for none.
const Json* parameters_of(const Json& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json* value = find(config, key);
    if (value == nullptr || value->is_null()) continue;
    if (const JsonObject* object = value->if_object(); object != nullptr && object->empty())
      continue;
    return value;
  }
  return nullptr;
}

Result<Kind> kind_of(const Json& parameters) {
  const Json* type = find(parameters, "rope_type");
  const char* key = type != nullptr && !type->is_null() ? "rope_type" : "type";
  BUNDLE_TRY(const std::string name, get_string_or(parameters, key, "default", kWhere));
  const Json* given = find(parameters, key);
  if ((given == nullptr || given->is_null()) && find(parameters, "factor") != nullptr) {
    return bad_input("the rope parameters have a factor, but no rope_type", kWhere);
  }
  for (const KindName& known : kKinds) {
    if (known.name == name) return known.kind;
  }
  return bad_input("the rope type '" + name + "' is not supported", kWhere,
                   "Known are default, linear, llama3, yarn and dynamic.");
}

bool is_given(const Json& object, const char* key) {
  const Json* value = find(object, key);
  return value != nullptr && !value->is_null();
}

Result<double> required(const Json& parameters, const char* key) {
  if (!is_given(parameters, key)) {
    return bad_input("the rope parameters lack '" + std::string(key) + "'", kWhere);
  }
  return get_double_or(parameters, key, 0, kWhere);
}

/// transformers treats a 0 here as absent.
Result<double> nonzero_or(const Json& parameters, const char* key, double fallback) {
  BUNDLE_TRY(const double value, get_double_or(parameters, key, fallback, kWhere));
  return value == 0 ? fallback : value;
}

Status read_llama3(const Json& parameters, RopeConfig& rope) {
  BUNDLE_TRY(rope.low_freq_factor, required(parameters, "low_freq_factor"));
  BUNDLE_TRY(rope.high_freq_factor, required(parameters, "high_freq_factor"));
  return {};
}

Status read_yarn(const Json& parameters, RopeConfig& rope) {
  BUNDLE_TRY(rope.beta_fast, nonzero_or(parameters, "beta_fast", 32));
  BUNDLE_TRY(rope.beta_slow, nonzero_or(parameters, "beta_slow", 1));
  BUNDLE_TRY(rope.mscale, get_double_or(parameters, "mscale", 0, kWhere));
  BUNDLE_TRY(rope.mscale_all_dim, get_double_or(parameters, "mscale_all_dim", 0, kWhere));
  BUNDLE_TRY(rope.truncate, get_bool_or(parameters, "truncate", true, kWhere));
  const Json* factor = find(parameters, "attention_factor");
  if (factor == nullptr || factor->is_null()) return {};
  BUNDLE_TRY(const double value, get_double_or(parameters, "attention_factor", 0, kWhere));
  rope.attention_factor = value;
  return {};
}

/// What the model was trained with before it was stretched; a field of the configuration itself
/// wins over one of the parameters, as in transformers.
Result<std::int64_t> original_positions(const Json& config, const Json& parameters,
                                        std::int64_t max_positions, Kind kind) {
  if (kind == Kind::kDynamic) return max_positions;
  constexpr const char* key = "original_max_position_embeddings";
  if (kind == Kind::kLlama3 && !is_given(config, key) && !is_given(parameters, key)) {
    return bad_input("the rope parameters lack '" + std::string(key) + "'", kWhere,
                     "llama3 scales what it was trained with; the model's publisher knows that.");
  }
  BUNDLE_TRY(const std::int64_t inner, get_int_or(parameters, key, max_positions, kWhere));
  return get_int_or(config, key, inner, kWhere);
}

Status read_scaling(const Json& config, const Json& parameters, std::int64_t max_positions,
                    RopeConfig& rope) {
  BUNDLE_TRY(rope.original_max_positions,
             original_positions(config, parameters, max_positions, rope.kind));
  const Json* factor = find(parameters, "factor");
  if (rope.kind == Kind::kYarn && factor != nullptr && factor->is_null() &&
      rope.original_max_positions > 0) {
    rope.factor =
        static_cast<double>(max_positions) / static_cast<double>(rope.original_max_positions);
  } else {
    BUNDLE_TRY(rope.factor, required(parameters, "factor"));
  }
  if (rope.kind == Kind::kLlama3) return read_llama3(parameters, rope);
  if (rope.kind == Kind::kYarn) return read_yarn(parameters, rope);
  return {};
}

Status check_whole_heads(const Json& config, const Json* parameters) {
  BUNDLE_TRY(double part, get_double_or(config, "partial_rotary_factor", 1, kWhere));
  if (parameters != nullptr) {
    BUNDLE_TRY(part, get_double_or(*parameters, "partial_rotary_factor", part, kWhere));
  }
  if (part == 1) return {};
  return bad_input("'partial_rotary_factor' is not 1, which is not supported", kWhere);
}

Status check_flat(const Json& parameters) {
  if (!parameters.is_object()) return bad_input("the rope parameters are no object", kWhere);
  for (const auto& [key, value] : parameters.get_object()) {
    if (value.is_object()) {
      return bad_input(
          "rope parameters by kind of layer ('" + std::string(key) + "') are not supported",
          kWhere);
    }
  }
  return {};
}

}  // namespace

Result<RopeConfig> rope_from_json(const Json& config, std::int64_t max_positions,
                                  double default_theta) {
  RopeConfig rope;
  BUNDLE_TRY(rope.theta, get_double_or(config, "rope_theta", default_theta, kWhere));
  const Json* parameters = parameters_of(config);
  BUNDLE_CHECK(check_whole_heads(config, parameters));
  if (parameters == nullptr) return rope;
  BUNDLE_CHECK(check_flat(*parameters));
  BUNDLE_TRY(rope.theta, get_double_or(*parameters, "rope_theta", rope.theta, kWhere));
  BUNDLE_TRY(rope.kind, kind_of(*parameters));
  if (rope.kind == Kind::kDefault) return rope;
  BUNDLE_CHECK(read_scaling(config, *parameters, max_positions, rope));
  return rope;
}

}  // namespace bundle::format
