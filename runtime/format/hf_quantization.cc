#include "runtime/format/hf_quantization.h"

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::format {
namespace {

constexpr const char* kWhere = "config.json";

Error unsupported(const std::string& what) {
  return bad_input(
      "the quantization " + what + " is not supported", kWhere,
      "Supported are FP8 (e4m3) weights in blocks of 128x128, by row or by matrix, and "
      "symmetric INT8 weights by row or by matrix. Use such a checkpoint, the "
      "unquantized model, or a GGUF file of it.");
}

bool is_set(const Json& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && !value->is_null();
}

bool has_served_block(const Json& object, std::string_view key) {
  return *find(object, key) == Json{128, 128};
}

/// Weights of F8_E4M3 are what is served; a file that says another form contradicts itself or them.
Result<bool> read_fp8(const Json& quantization) {
  BUNDLE_TRY(const std::string form, get_string_or(quantization, "fmt", "e4m3", kWhere));
  if (form != "e4m3") return unsupported("'fp8' with elements of '" + form + "'");
  if (!is_set(quantization, "weight_block_size")) return false;
  if (has_served_block(quantization, "weight_block_size")) return true;
  return unsupported("'fp8' in blocks other than 128x128");
}

Result<bool> read_modelopt(const Json& quantization) {
  BUNDLE_TRY(const std::string algorithm, get_string_or(quantization, "quant_algo", "", kWhere));
  if (algorithm == "FP8") return false;
  return unsupported("'modelopt' with the algorithm '" + algorithm + "'");
}

/// "int weights of 4 bits by group"
Result<std::string> form_of(const Json& weights) {
  BUNDLE_TRY(const std::int64_t bits, get_int_or(weights, "num_bits", 8, kWhere));
  BUNDLE_TRY(const std::string type, get_string_or(weights, "type", "int", kWhere));
  BUNDLE_TRY(const std::string strategy, get_string_or(weights, "strategy", "tensor", kWhere));
  BUNDLE_TRY(const bool symmetric, get_bool_or(weights, "symmetric", true, kWhere));
  return std::to_string(bits) + "-bit " + type + " by " + strategy +
         (symmetric ? "" : " with zero points");
}

/// One of compressed-tensors' config_groups: whether its weights are FP8 in blocks.
Result<bool> read_group(const Json& group) {
  if (!is_set(group, "weights")) return unsupported("'compressed-tensors' of activations alone");
  const Json& weights = *find(group, "weights");
  if (!weights.is_object()) return bad_input("'weights' is no object", kWhere);
  BUNDLE_TRY(const std::string form, form_of(weights));
  if (form == "8-bit float by block" && is_set(weights, "block_structure") &&
      has_served_block(weights, "block_structure")) {
    return true;
  }
  for (const char* served : {"8-bit float by channel", "8-bit float by tensor",
                             "8-bit int by channel", "8-bit int by tensor"}) {
    if (form == served) return false;
  }
  return unsupported("'compressed-tensors' with weights that are " + form);
}

Status check_dense(const Json& quantization) {
  if (!is_set(quantization, "sparsity_config")) return {};
  const Json& sparsity = *find(quantization, "sparsity_config");
  BUNDLE_TRY(const std::string form, get_string_or(sparsity, "format", "dense", kWhere));
  if (form == "dense") return {};
  return unsupported("'compressed-tensors' with the sparse format '" + form + "'");
}

Result<bool> read_compressed_tensors(const Json& quantization) {
  BUNDLE_CHECK(check_dense(quantization));
  const Json* groups = find(quantization, "config_groups");
  if (groups == nullptr || !groups->is_object() || groups->get_object().empty()) {
    return unsupported("'compressed-tensors' without 'config_groups'");
  }
  bool blocks = false;
  for (const auto& [name, group] : groups->get_object()) {
    BUNDLE_TRY(const bool is_blocks, read_group(group));
    blocks = blocks || is_blocks;
  }
  return blocks;
}

}  // namespace

Result<bool> read_quantization(const Json& quantization) {
  BUNDLE_TRY(const std::string method, get_string_or(quantization, "quant_method", "?", kWhere));
  if (method == "fp8") return read_fp8(quantization);
  if (method == "fbgemm_fp8") return false;
  if (method == "modelopt") return read_modelopt(quantization);
  if (method == "compressed-tensors") return read_compressed_tensors(quantization);
  return unsupported("'" + method + "'");
}

}  // namespace bundle::format
