#include "runtime/model/weights.h"

#include "runtime/format/model_config.h"
#include "runtime/kernels/dequantize.h"

namespace bundle::model {
namespace {

using format::TensorView;

Status check_shape(const TensorView& tensor, const std::vector<std::int64_t>& wanted) {
  if (tensor.shape == wanted) return {};
  return bad_input("tensor '" + tensor.name + "' has shape " + format::shape_text(tensor.shape) +
                       ", the configuration asks for " + format::shape_text(wanted),
                   "", "Check that weights and configuration belong to the same model.");
}

bool is_real(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || is_quantized(type);
}

Error missing(Error error) {
  error.code = ErrorCode::kBadInput;
  if (error.remedy.empty()) error.remedy = "The checkpoint is incomplete: fetch it again.";
  return error;
}

Result<const TensorView*> require(const format::Checkpoint& checkpoint, std::string_view name) {
  auto tensor = format::find_tensor(checkpoint, name);
  if (tensor.has_error()) return missing(std::move(tensor).error());
  return tensor;
}

}  // namespace

WeightLoader::WeightLoader(const format::Checkpoint& checkpoint, kernels::Device& device,
                           const Progress& progress)
    : checkpoint_(checkpoint),
      device_(device),
      progress_(progress),
      total_(checkpoint.weight_bytes()) {}

Status WeightLoader::tell(std::uint64_t bytes) {
  done_ += bytes;
  if (progress_ && !progress_("loading weights", done_, total_)) {
    return Error{ErrorCode::kInterrupted, "loading the weights was interrupted"};
  }
  return {};
}

Result<std::vector<float>> WeightLoader::widen(const TensorView& tensor) {
  if (!is_real(tensor.type)) {
    return bad_input("tensor '" + tensor.name + "' has type " +
                     std::string(dtype_info(tensor.type).name) + ", where real numbers belong");
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  kernels::dequantize_row(tensor.type, tensor.data.data(), tensor.elements(), values.data());
  resident_ += values.size() * sizeof(float);
  BUNDLE_CHECK(tell(tensor.data.size()));
  return values;
}

Result<std::vector<float>> WeightLoader::vector(std::string_view name, std::int64_t size) {
  BUNDLE_TRY(const TensorView* tensor, require(checkpoint_, name));
  BUNDLE_CHECK(check_shape(*tensor, {size}));
  return widen(*tensor);
}

Result<std::vector<float>> WeightLoader::optional_vector(std::string_view name, std::int64_t size) {
  if (format::find_optional_tensor(checkpoint_, name) == nullptr) return std::vector<float>{};
  return vector(name, size);
}

Result<std::vector<float>> WeightLoader::bias_of(std::span<const LinearPart> parts, Bias bias) {
  std::vector<float> all;
  bool any = false;
  if (bias == Bias::kNone) return all;
  for (const LinearPart& part : parts) {
    const std::string name = part.name + ".bias";
    BUNDLE_TRY(std::vector<float> values, bias == Bias::kRequired
                                              ? vector(name, part.rows)
                                              : optional_vector(name, part.rows));
    any = any || !values.empty();
    values.resize(static_cast<std::size_t>(part.rows), 0.0f);
    all.insert(all.end(), values.begin(), values.end());
  }
  if (!any) all.clear();
  return all;
}

Result<Linear> WeightLoader::linear(std::span<const LinearPart> parts, std::int64_t cols,
                                    Bias bias) {
  std::vector<const TensorView*> tensors;
  std::vector<kernels::WeightView> views;
  for (const LinearPart& part : parts) {
    BUNDLE_TRY(const TensorView* tensor, require(checkpoint_, part.name + ".weight"));
    BUNDLE_CHECK(check_shape(*tensor, {part.rows, cols}));
    tensors.push_back(tensor);
    views.push_back({tensor->type, tensor->data, part.rows, cols});
  }
  Linear linear;
  BUNDLE_TRY(linear.bias, bias_of(parts, bias));
  auto packed = device_.pack(views);
  if (packed.has_error()) {
    Error error = std::move(packed).error();
    if (error.where.empty()) error.where = tensors.front()->name;
    return error;
  }
  linear.weight = *std::move(packed);
  resident_ += linear.weight->resident_bytes();
  for (const TensorView* tensor : tensors) {
    if (!linear.weight->uses_source()) checkpoint_.drop(*tensor);
    BUNDLE_CHECK(tell(tensor->data.size()));
  }
  return linear;
}

}  // namespace bundle::model
