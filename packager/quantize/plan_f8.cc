#include "packager/quantize/plan_f8.h"

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

std::string scales_name(const std::string& name) { return name + "_scale_inv"; }

/// Plans one file; its tensors lie so that wide elements come first and all are aligned.
class FilePlan {
 public:
  FilePlan(std::string name, const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
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
    const DType type = is_matrix ? DType::kF8E4M3 : tensor->type;
    file_.tensors.push_back(
        {.name = name, .type = type, .shape = tensor->shape, .parts = {{tensor}}});
    if (is_matrix)
      scales_[scales_name(name)] = {blocks(tensor->shape[0]), blocks(tensor->shape[1])};
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
      if (tensor.type == DType::kF8E4M3)
        tensor.scales_offset = offsets.at(scales_name(tensor.name));
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

Result<std::string> quantized_config(const format::ModelSource& source) {
  BUNDLE_TRY(const std::string text, source.read(kConfig, kMostConfig));
  BUNDLE_TRY(Json config, parse_json(text, kConfig));
  config.as_object()["quantization_config"] =
      JsonObject{{"activation_scheme", "dynamic"},
                 {"fmt", "e4m3"},
                 {"quant_method", "fp8"},
                 {"weight_block_size", JsonArray{kScaleBlock, kScaleBlock}}};
  return pretty_json(config);
}

std::string index_text(const std::vector<PlannedFile>& files) {
  std::map<std::string, std::string> places;
  std::uint64_t total = 0;
  for (const PlannedFile& file : files) {
    total += file.size - file.head.size();
    for (const PlannedTensor& tensor : file.tensors) {
      places[tensor.name] = file.name;
      if (tensor.type == DType::kF8E4M3) places[scales_name(tensor.name)] = file.name;
    }
  }
  JsonObject map;
  for (const auto& [name, file] : places) map[name] = file;
  return pretty_json(
      JsonObject{{"metadata", JsonObject{{"total_size", total}}}, {"weight_map", std::move(map)}});
}

}  // namespace

Result<F8Plan> plan_f8(const Checkpoint& checkpoint) {
  if (checkpoint.is_gguf()) {
    return Error{ErrorCode::kUsage, "a GGUF cannot hold FP8 weights", "",
                 "Start from the model in Hugging Face's form."};
  }
  F8Plan plan;
  BUNDLE_TRY(const auto published, format::safetensors_files(checkpoint.source()));
  for (const std::string& name : published.names) {
    BUNDLE_TRY(const auto tensors, names_in(checkpoint.source(), name));
    FilePlan file(name, checkpoint);
    for (const std::string& tensor : tensors) BUNDLE_CHECK(file.add(tensor));
    plan.files.push_back(file.finish());
  }
  BUNDLE_TRY(plan.config, quantized_config(checkpoint.source()));
  if (!published.weight_map.empty()) plan.index = index_text(plan.files);
  return plan;
}

}  // namespace bundle::packager::quantize
