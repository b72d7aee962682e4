#include "packager/quantize/plan_gguf.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "packager/quantize/gguf_bytes.h"
#include "packager/quantize/gguf_fields.h"
#include "runtime/format/gguf_split.h"
#include "runtime/format/tensor_names.h"
#include "runtime/format/weight_scales.h"
#include "runtime/quantize/quantize.h"

namespace bundle::packager::quantize {
namespace {

using format::Checkpoint;
using format::TensorView;
using Planned = std::map<std::string, PlannedTensor>;

constexpr std::int64_t kBlock = 32;
constexpr std::int64_t kSuperBlock = 256;
constexpr const char* kRopeFactors = "rope_freqs.weight";

/// llama.cpp's numbers of what a file mostly holds (llama_ftype).
std::int64_t file_type(Quantization quantization) {
  return quantization == Quantization::kQ8_0 ? 7 : quantization == Quantization::kQ4_0 ? 2 : 14;
}

bool is_real(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// Read in full precision by the engine, or too small to be worth rounding.
bool stays_float(std::string_view name, const std::vector<std::int64_t>& shape) {
  return shape.size() < 2 || contains(name, "_norm") || contains(name, "ffn_gate_inp") ||
         contains(name, "exp_probs_b") || !name.ends_with(".weight");
}

/// Where a rounding error reaches every token.
bool is_delicate(std::string_view name) {
  return name == "token_embd.weight" || name == "output.weight" ||
         contains(name, "nextn.embed_tokens") || contains(name, "nextn.shared_head_head");
}

DType type_for(std::string_view name, const std::vector<std::int64_t>& shape,
               Quantization quantization) {
  if (stays_float(name, shape)) return DType::kF32;
  const std::int64_t cols = shape.back();
  if (cols % kBlock != 0) return DType::kBF16;
  if (is_delicate(name) || quantization == Quantization::kQ8_0) return DType::kQ8_0;
  if (quantization == Quantization::kQ4_0) return DType::kQ4_0;
  return cols % kSuperBlock == 0 ? DType::kQ4K : DType::kQ5_0;
}

Error already_quantized(const TensorView& tensor) {
  return {ErrorCode::kUsage,
          "the weights are quantized already: '" + tensor.name + "' is " +
              std::string(dtype_info(tensor.type).name),
          "", "Quantize the model in BF16, F16 or F32."};
}

Error empty(const TensorView& tensor) {
  return bad_input("the tensor '" + tensor.name + "' has no elements");
}

/// A GGUF of floats: the same tensors under the same names.
Result<Planned> plan_from_gguf(const Checkpoint& checkpoint, Quantization quantization) {
  Planned planned;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!is_real(tensor.type)) return already_quantized(tensor);
    if (tensor.elements() == 0) return empty(tensor);
    planned[name] = {.name = name,
                     .type = type_for(name, tensor.shape, quantization),
                     .shape = tensor.shape,
                     .parts = {{&tensor}}};
  }
  return planned;
}

/// "blk.0.ffn_up_exps.weight[3]" is number 3 of "blk.0.ffn_up_exps.weight"; another name has none.
struct StackPlace {
  std::string stack;
  std::optional<std::size_t> number;
};
StackPlace place_of(const std::string& name) {
  const std::size_t bracket = name.find('[');
  if (bracket == std::string::npos) return {name, std::nullopt};
  std::size_t number = 0;
  std::from_chars(name.data() + bracket + 1, name.data() + name.size(), number);
  return {name.substr(0, bracket), number};
}

/// Tensors of Hugging Face's form that are computed from the configuration, or belong to another.
bool is_left_out(std::string_view name, const format::ModelConfig& config) {
  return name.ends_with("_scale_inv") || name.ends_with("_scale") ||
         name.ends_with("rotary_emb.inv_freq") ||
         (config.tied_embeddings && name == "lm_head.weight");
}

class HuggingFacePlan {
 public:
  HuggingFacePlan(const Checkpoint& checkpoint, const format::ModelConfig& config,
                  Quantization quantization)
      : checkpoint_(checkpoint), config_(config), quantization_(quantization) {}

  Result<Planned> run() {
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      if (!is_left_out(name, config_)) BUNDLE_CHECK(add(tensor));
    }
    for (auto& [name, stack] : planned_) BUNDLE_CHECK(finish(stack));
    if (std::vector<float> factors = rope_factors(config_); !factors.empty()) {
      const auto count = static_cast<std::int64_t>(factors.size());
      planned_[kRopeFactors] = {.name = kRopeFactors, .shape = {count}, .values = factors};
    }
    return std::move(planned_);
  }

 private:
  Status add(const TensorView& tensor) {
    const std::vector<std::string> names = format::gguf_tensor_names(tensor.name);
    if (names.empty()) {
      return bad_input("GGUF has no name for the tensor '" + tensor.name + "'", "",
                       "Quantize to fp8, which keeps the model's own form.");
    }
    if (tensor.elements() == 0) return empty(tensor);
    PublishedPart part{&tensor};
    if (tensor.type == DType::kF8E4M3) {
      BUNDLE_TRY(part.scales, scales_of(tensor));
    } else if (!is_real(tensor.type)) {
      return already_quantized(tensor);
    }
    const StackPlace place = place_of(names.front());
    PlannedTensor& planned = planned_[place.stack];
    planned.name = place.stack;
    if (planned.parts.empty()) planned.shape = tensor.shape;
    if (planned.shape != tensor.shape) return differs(tensor);
    const std::size_t number = place.number.value_or(0);
    const std::size_t most = place.number ? experts() : 1;
    if (number >= most) return bad_input("'" + tensor.name + "' is one expert too many");
    planned.parts.resize(most);
    planned.parts[number] = part;
    return {};
  }

  /// The scales of an FP8 matrix, checked: one for each block of 128x128.
  Result<const TensorView*> scales_of(const TensorView& tensor) const {
    BUNDLE_TRY(const format::WeightScales scales, format::weight_scales(checkpoint_, tensor));
    if (scales.form == format::ScaleForm::kBlocks && scales.tensor->type == DType::kF32) {
      return scales.tensor;
    }
    return bad_input("'" + tensor.name + "' has scales other than F32 of 128x128 elements", "",
                     "Quantize the model in BF16, F16 or F32.");
  }

  static Error differs(const TensorView& tensor) {
    return bad_input("'" + tensor.name +
                     "' has another shape than its siblings: " + format::shape_text(tensor.shape));
  }

  std::size_t experts() const {
    return config_.moe ? static_cast<std::size_t>(config_.moe->num_experts) : 0;
  }

  Status finish(PlannedTensor& planned) {
    for (const PublishedPart& part : planned.parts) {
      if (part.tensor == nullptr) return bad_input("experts of '" + planned.name + "' are missing");
    }
    if (planned.name.find("_exps.") != std::string::npos) {
      planned.shape.insert(planned.shape.begin(), static_cast<std::int64_t>(experts()));
    }
    planned.type = type_for(planned.name, planned.shape, quantization_);
    const bool is_rotated = contains(planned.name, "attn_q.") || contains(planned.name, "attn_k.");
    if (is_rotated && !config_.mla && gguf_architecture(config_) == "llama") {
      if (config_.head_dim % 2 != 0 || planned.shape.front() % config_.head_dim != 0) {
        return bad_input("'" + planned.name + "' has other rows than whole heads");
      }
      planned.interleaved_head = config_.head_dim;
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  const format::ModelConfig& config_;
  Quantization quantization_;
  Planned planned_;
};

/// The metadata of a GGUF, less what is said anew; of a split file the first part's.
Status copy_metadata(const Checkpoint& checkpoint, GgufEntries& entries) {
  BUNDLE_TRY(const auto names, format::gguf_parts(checkpoint.source()));
  BUNDLE_TRY(const MappedFile file, checkpoint.source().map(names.front()));
  BUNDLE_CHECK(entries.copy(
      file.bytes(), {"general.file_type", "general.quantization_version", "general.alignment",
                     "split.no", "split.count", "split.tensors.count"}));
  entries.add_u32("general.quantization_version", 2);
  return {};
}

}  // namespace

Result<PlannedFile> plan_gguf(const Checkpoint& checkpoint, const format::ModelConfig& config,
                              Quantization quantization) {
  GgufEntries entries;
  Planned planned;
  if (checkpoint.is_gguf()) {
    BUNDLE_CHECK(copy_metadata(checkpoint, entries));
    BUNDLE_TRY(planned, plan_from_gguf(checkpoint, quantization));
  } else {
    BUNDLE_CHECK(add_model_fields(config, entries));
    BUNDLE_TRY(planned, HuggingFacePlan(checkpoint, config, quantization).run());
  }
  entries.add_u32("general.file_type", file_type(quantization));
  std::vector<PlannedTensor> tensors;
  for (auto& [name, tensor] : planned) tensors.push_back(std::move(tensor));
  return lay_out_gguf("model.gguf", entries, std::move(tensors));
}

}  // namespace bundle::packager::quantize
