#include "packager/quantize/plan_safetensors.h"

#include <algorithm>
#include <map>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "runtime/format/safetensors.h"
#include "runtime/format/safetensors_index.h"
#include "runtime/quantize/quantize.h"

namespace bundle::packager::quantize {
namespace {

using bundle::quantize::kScaleBlock;
using format::Checkpoint;
using format::TensorView;

constexpr std::uint64_t kMostConfig = 16u << 20;
constexpr const char* kConfig = "config.json";

/// The names that transformers' fp8 form quantizes in the families that are served here.
bool is_linear(std::string_view name) {
  if (!name.starts_with("model.layers.") || !name.ends_with(".weight")) return false;
  const bool is_inside = name.find(".self_attn.") != name.npos || name.find(".mlp.") != name.npos ||
                         name.find(".block_sparse_moe.experts.") != name.npos;
  name.remove_suffix(std::string_view(".weight").size());
  const std::string_view leaf = name.substr(name.rfind('.') + 1);
  return is_inside &&
         (leaf.find("_proj") != leaf.npos || leaf == "w1" || leaf == "w2" || leaf == "w3");
}

bool is_real(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

std::int64_t blocks(std::int64_t size) { return (size + kScaleBlock - 1) / kScaleBlock; }

/// What safetensors calls the type.
std::string_view type_name(DType type) {
  return type == DType::kF8E4M3 ? "F8_E4M3" : dtype_info(type).name;
}

/// What the scales of a matrix of the type are called.
std::string scales_name(const std::string& name, DType type) {
  return name + (type == DType::kI8 ? "_scale" : "_scale_inv");
}

std::vector<std::int64_t> scales_shape(const std::vector<std::int64_t>& shape, DType type) {
  if (type == DType::kI8) return {shape[0], 1};
  return {blocks(shape[0]), blocks(shape[1])};
}

/// Plans one file; its tensors lie so that wide elements come first and all are aligned.
class FilePlan {
 public:
  FilePlan(std::string name, const Checkpoint& checkpoint, DType type)
      : checkpoint_(checkpoint), type_(type) {
    file_.name = std::move(name);
  }

  Status add(const std::string& name) {
    const TensorView* tensor = checkpoint_.find(name);
    if (tensor == nullptr) return bad_input("the tensor '" + name + "' is missing");
    if (!is_real(tensor->type)) {
      return Error{ErrorCode::kUsage,
                   "the weights are quantized already: '" + name + "' is " +
                       std::string(dtype_info(tensor->type).name),
                   "", "Quantize the model in BF16, F16 or F32."};
    }
    if (tensor->elements() == 0) return bad_input("the tensor '" + name + "' has no elements");
    const bool is_matrix = is_linear(name) && tensor->shape.size() == 2;
    if (is_matrix) BUNDLE_CHECK(check_width(*tensor));
    const DType type = is_matrix ? type_ : tensor->type;
    file_.tensors.push_back(
        {.name = name, .type = type, .shape = tensor->shape, .parts = {{tensor}}});
    if (is_matrix) scales_[scales_name(name, type)] = scales_shape(tensor->shape, type);
    return {};
  }

  PlannedFile finish() {
    std::ranges::sort(file_.tensors, [](const PlannedTensor& a, const PlannedTensor& b) {
      const int wide = dtype_info(a.type).bytes, other = dtype_info(b.type).bytes;
      return wide != other ? wide > other : a.name < b.name;
    });
    lay_out();
    std::string text = print_json(header_);
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const std::uint64_t size = text.size();
    file_.head.assign(reinterpret_cast<const char*>(&size), sizeof size);
    file_.head += text;
    for (PlannedTensor& tensor : file_.tensors) {
      tensor.offset += file_.head.size();
      tensor.scales_offset += file_.head.size();
    }
    file_.size = file_.head.size() + at_;
    return std::move(file_);
  }

 private:
  Status check_width(const TensorView& tensor) const {
    if (type_ != DType::kI8 || tensor.shape[1] % kInt8Columns == 0) return {};
    return Error{ErrorCode::kUsage,
                 "'" + tensor.name + "' has " + std::to_string(tensor.shape[1]) +
                     " columns: int8 needs a multiple of " + std::to_string(kInt8Columns),
                 "", "Quantize to fp8."};
  }

  /// The scales, of four bytes an element, stand before all others.
  void lay_out() {
    header_["__metadata__"] = JsonObject{{"format", "pt"}};
    std::map<std::string, std::uint64_t> offsets;
    for (const auto& [name, shape] : scales_) {
      offsets[name] = at_;
      place(name, DType::kF32, shape, static_cast<std::uint64_t>(shape[0] * shape[1]) * 4);
    }
    for (PlannedTensor& tensor : file_.tensors) {
      tensor.offset = at_;
      if (needs_scales(tensor.type))
        tensor.scales_offset = offsets.at(scales_name(tensor.name, tensor.type));
      place(tensor.name, tensor.type, tensor.shape, tensor.bytes());
    }
  }

  void place(const std::string& name, DType type, const std::vector<std::int64_t>& shape,
             std::uint64_t bytes) {
    JsonArray sizes;
    for (const std::int64_t size : shape) sizes.emplace_back(size);
    header_[name] = JsonObject{{"dtype", type_name(type)},
                               {"shape", std::move(sizes)},
                               {"data_offsets", JsonArray{at_, at_ + bytes}}};
    at_ += bytes;
  }

  const Checkpoint& checkpoint_;
  const DType type_;  // that matrices become
  PlannedFile file_;
  std::map<std::string, std::vector<std::int64_t>> scales_;
  JsonObject header_;
  std::uint64_t at_ = 0;
};

/// Names of the tensors that one published file holds.
Result<std::vector<std::string>> names_in(const format::ModelSource& source,
                                          const std::string& file) {
  BUNDLE_TRY(const MappedFile map, source.map(file));
  BUNDLE_TRY(const auto tensors, format::parse_safetensors(map.bytes(), file));
  std::vector<std::string> names;
  for (const TensorView& tensor : tensors) names.push_back(tensor.name);
  std::ranges::sort(names);
  return names;
}

/// DeepSeek-V3's.
Json f8_config() {
  return JsonObject{{"activation_scheme", "dynamic"},
                    {"fmt", "e4m3"},
                    {"quant_method", "fp8"},
                    {"weight_block_size", JsonArray{kScaleBlock, kScaleBlock}}};
}

JsonObject int8_arguments(std::string_view strategy, bool dynamic) {
  return {{"num_bits", 8},
          {"type", "int"},
          {"symmetric", true},
          {"strategy", strategy},
          {"dynamic", dynamic}};
}

/// As compressed-tensors writes it for integer weights with activations of bytes, which servers
/// with integer products round on the way.
Json int8_config() {
  const JsonObject group{{"targets", JsonArray{"Linear"}},
                         {"weights", int8_arguments("channel", false)},
                         {"input_activations", int8_arguments("token", true)},
                         {"output_activations", nullptr}};
  return JsonObject{{"quant_method", "compressed-tensors"},
                    {"format", "int-quantized"},
                    {"quantization_status", "compressed"},
                    {"config_groups", JsonObject{{"group_0", group}}},
                    {"ignore", JsonArray{"lm_head", "re:.*\\.gate$"}},
                    {"kv_cache_scheme", nullptr}};
}

Result<std::string> quantized_config(const format::ModelSource& source, DType type) {
  BUNDLE_TRY(const std::string text, source.read(kConfig, kMostConfig));
  BUNDLE_TRY(Json config, parse_json(text, kConfig));
  config.as_object()["quantization_config"] = type == DType::kI8 ? int8_config() : f8_config();
  return pretty_json(config);
}

std::string index_text(const std::vector<PlannedFile>& files) {
  std::map<std::string, std::string> places;
  std::uint64_t total = 0;
  for (const PlannedFile& file : files) {
    total += file.size - file.head.size();
    for (const PlannedTensor& tensor : file.tensors) {
      places[tensor.name] = file.name;
      if (needs_scales(tensor.type)) places[scales_name(tensor.name, tensor.type)] = file.name;
    }
  }
  JsonObject map;
  for (const auto& [name, file] : places) map[name] = file;
  return pretty_json(
      JsonObject{{"metadata", JsonObject{{"total_size", total}}}, {"weight_map", std::move(map)}});
}

}  // namespace

Result<SafetensorsPlan> plan_safetensors(const Checkpoint& checkpoint, Quantization quantization) {
  const DType type = quantization == Quantization::kInt8 ? DType::kI8 : DType::kF8E4M3;
  if (checkpoint.is_gguf()) {
    return Error{ErrorCode::kUsage, "a GGUF cannot hold 8-bit weights with scales beside them", "",
                 "Start from the model in Hugging Face's form."};
  }
  SafetensorsPlan plan;
  BUNDLE_TRY(const auto published, format::safetensors_files(checkpoint.source()));
  for (const std::string& name : published.names) {
    BUNDLE_TRY(const auto tensors, names_in(checkpoint.source(), name));
    FilePlan file(name, checkpoint, type);
    for (const std::string& tensor : tensors) BUNDLE_CHECK(file.add(tensor));
    plan.files.push_back(file.finish());
  }
  BUNDLE_TRY(plan.config, quantized_config(checkpoint.source(), type));
  if (!published.weight_map.empty()) plan.index = index_text(plan.files);
  return plan;
}

}  // namespace bundle::packager::quantize
