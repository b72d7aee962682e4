#include "runtime/sizing/weight_format.h"

#include <algorithm>

#include "base/text.h"

namespace bundle::sizing {
namespace {

constexpr const char* kWhere = "config.json";

WeightFormat wide(std::string name, std::string_view type, int bytes) {
  WeightFormat format;
  format.name = std::move(name);
  format.wide = type;
  format.wide_bytes = bytes;
  format.bits = 8.0 * bytes;
  return format;
}

WeightFormat narrow(std::string name, Coverage coverage, std::string_view type, double bits,
                    std::int64_t scale_rows, std::int64_t scale_columns,
                    std::string_view scale_type, double scale_bits) {
  WeightFormat format;
  format.name = std::move(name);
  format.coverage = coverage;
  format.type = type;
  format.bits = bits;
  format.scale_rows = scale_rows;
  format.scale_columns = scale_columns;
  format.scale_type = scale_type;
  format.scale_bits = scale_bits;
  return format;
}

/// ggml's blocks carry their scales; "_m" files mix kinds, and have this many bits on average
/// (llama.cpp's table for Llama 3 8B).
WeightFormat gguf(std::string name, std::string_view type, double bits) {
  return narrow(std::move(name), Coverage::kEverything, type, bits, 0, 0, "", 0);
}

std::vector<WeightFormat> make_formats() {
  using enum Coverage;
  return {
      wide("f32", "F32", 4),
      wide("bf16", "BF16", 2),
      wide("f16", "F16", 2),
      gguf("q8_0", "Q8_0", 8.5),
      narrow("fp8", kLinears, "F8_E4M3", 8, 128, 128, "F32", 32),
      narrow("fp8-channel", kLinears, "F8_E4M3", 8, 1, 0, "F32", 32),
      narrow("fp8-fbgemm", kInnerMlps, "F8_E4M3", 8, 1, 0, "F32", 32),
      narrow("int8", kLinears, "I8", 8, 1, 0, "F32", 32),
      gguf("q6_k", "Q6_K", 6.5625),
      gguf("q5_k_m", "Q5_K", 5.70),
      gguf("q4_k_m", "Q4_K", 4.89),
      gguf("q4_1", "Q4_1", 5),
      // A half-precision scale and a 4-bit zero point for each group.
      narrow("int4", kLinears, "I4", 4, 1, 128, "F16", 20),
      narrow("nvfp4", kLinears, "F4", 4, 1, 16, "F8_E4M3", 8),
      narrow("nvfp4-experts", kRoutedExperts, "F4", 4, 1, 16, "F8_E4M3", 8),
      gguf("q4_0", "Q4_0", 4.5),
      narrow("mxfp4", kLinears, "F4", 4, 1, 32, "U8", 8),
      narrow("mxfp4-experts", kRoutedExperts, "F4", 4, 1, 32, "U8", 8),
  };
}

WeightFormat known(std::string_view name) {
  for (const WeightFormat& format : weight_formats()) {
    if (format.name == name) return format;
  }
  return {};
}

Result<WeightFormat> four_bits(const Json& config, const std::string& method) {
  BUNDLE_TRY(const std::int64_t bits, get_int_or(config, "bits", 4, kWhere));
  BUNDLE_TRY(const std::int64_t group, get_int_or(config, "group_size", 128, kWhere));
  if (bits < 2 || bits > 8 || group < -1 || group == 0 || group > 1 << 20) {
    return bad_input("'" + method + "' with odd 'bits' or 'group_size'", kWhere);
  }
  WeightFormat format = known("int4");
  format.name = method + "-int" + std::to_string(bits);
  format.bits = static_cast<double>(bits);
  format.scale_columns = group < 0 ? 0 : group;
  format.scale_bits = 16 + static_cast<double>(bits);
  return format;
}

Result<WeightFormat> fp8_of(const Json& quantization) {
  const Json* block = find(quantization, "weight_block_size");
  if (block == nullptr || block->is_null()) return known("fp8-channel");
  if (!block->is_array() || block->get_array().size() != 2 || !block->get_array()[0].is_int64() ||
      !block->get_array()[1].is_int64() || block->get_array()[0].get_int64() < 1 ||
      block->get_array()[1].get_int64() < 1) {
    return bad_input("'weight_block_size' is not two positive numbers", kWhere);
  }
  WeightFormat format = known("fp8");
  format.scale_rows = block->get_array()[0].get_int64();
  format.scale_columns = block->get_array()[1].get_int64();
  return format;
}

/// modelopt names its algorithm, compressed-tensors its format.
Result<WeightFormat> by_algorithm(const Json& quantization, const std::string& method) {
  BUNDLE_TRY(std::string name, get_string_or(quantization, "quant_algo", "", kWhere));
  if (name.empty()) {
    BUNDLE_TRY(name, get_string_or(quantization, "format", "", kWhere));
  }
  if (name == "FP8" || name == "float-quantized") return known("fp8-channel");
  if (name == "NVFP4" || name == "nvfp4-pack-quantized") return known("nvfp4");
  if (name == "int-quantized") return known("int8");
  if (name == "pack-quantized") return known("int4");
  return bad_input("the quantization '" + method + "' with '" + name + "' is not known", kWhere);
}

Result<WeightFormat> quantized(const Json& quantization) {
  BUNDLE_TRY(const std::string method,
             get_string_or(quantization, "quant_method", "modelopt", kWhere));
  if (method == "fp8") return fp8_of(quantization);
  if (method == "fbgemm_fp8") return known("fp8-fbgemm");
  if (method == "awq" || method == "gptq") return four_bits(quantization, method);
  if (method == "mxfp4") return known("mxfp4-experts");
  if (method == "modelopt" || method == "compressed-tensors") {
    return by_algorithm(quantization, method);
  }
  return bad_input("the quantization '" + method + "' is not known", kWhere,
                   "Give the format with --quantization.");
}

}  // namespace

std::string WeightFormat::compute() const {
  if (type == "F8_E4M3") return "fp8";
  if (type == "F4") return "fp4";
  if (type == "I8") return "int8";
  return "bf16";
}

const std::vector<WeightFormat>& weight_formats() {
  static const std::vector<WeightFormat> formats = make_formats();
  return formats;
}

Result<WeightFormat> weight_format(std::string_view name) {
  std::vector<std::string> names;
  for (const WeightFormat& format : weight_formats()) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  const std::string near = nearest(name, names);
  std::string list;
  for (const std::string& each : names) list += (list.empty() ? "" : ", ") + each;
  return not_found("no quantization '" + std::string(name) + "'", "--quantization",
                   near.empty() ? "Known: " + list + "." : "Did you mean '" + near + "'?");
}

Result<WeightFormat> weight_format_of(const Json& config) {
  BUNDLE_TRY(const std::string dtype, get_string_or(config, "torch_dtype", "bfloat16", kWhere));
  WeightFormat plain = known(dtype == "float32" ? "f32" : dtype == "float16" ? "f16" : "bf16");
  const Json* quantization = find(config, "quantization_config");
  if (quantization == nullptr || quantization->is_null()) return plain;
  BUNDLE_TRY(WeightFormat format, quantized(*quantization));
  if (dtype == "float16") format.wide = plain.wide;
  BUNDLE_TRY(const std::string experts, get_string_or(config, "expert_dtype", "", kWhere));
  if (experts == "fp4") return known("mxfp4-experts");
  return format;
}

}  // namespace bundle::sizing
