#include "runtime/model/weights.h"

#include <cstring>

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

/// Types whose elements are numbers by themselves: 8-bit floats need scales.
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

void WeightLoader::leave_out(std::string_view layer) {
  std::string prefix(layer);
  if (checkpoint_.is_gguf()) prefix.replace(0, sizeof("model.layers") - 1, "blk");
  const auto& tensors = checkpoint_.tensors();
  for (auto at = tensors.lower_bound(prefix); at != tensors.end(); ++at) {
    if (!at->first.starts_with(prefix)) return;
    total_ -= at->second.data.size();
  }
}

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

Result<kernels::DeviceVector> WeightLoader::device_vector(std::string_view name,
                                                          std::int64_t size) {
  BUNDLE_TRY(const std::vector<float> values, vector(name, size));
  return device_.place(values);
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

bool WeightLoader::has(std::string_view name) const {
  return format::find_optional_tensor(checkpoint_, name) != nullptr;
}

Result<bool> WeightLoader::same_or_absent(std::string_view name, std::string_view other) {
  const TensorView* own = format::find_optional_tensor(checkpoint_, name);
  if (own == nullptr) return true;
  const TensorView* main = format::find_optional_tensor(checkpoint_, other);
  if (main == nullptr || main->type != own->type || main->shape != own->shape) return false;
  if (std::memcmp(main->data.data(), own->data.data(), own->data.size()) != 0) return false;
  checkpoint_.drop(*own);
  BUNDLE_CHECK(tell(own->data.size()));
  return true;
}

Result<const TensorView*> WeightLoader::tensor(std::string_view name,
                                               const std::vector<std::int64_t>& shape) {
  BUNDLE_TRY(const TensorView* tensor, require(checkpoint_, name));
  BUNDLE_CHECK(check_shape(*tensor, shape));
  return tensor;
}

/// The scales of an 8-bit matrix, one for each block that it has part of.
Result<const TensorView*> WeightLoader::scales_of(const TensorView& tensor,
                                                  const std::string& name) {
  const auto blocks = [](std::int64_t size) {
    return size / kernels::kScaleBlock + (size % kernels::kScaleBlock != 0);
  };
  BUNDLE_TRY(const TensorView* scales,
             this->tensor(name + "_scale_inv", {blocks(tensor.shape[0]), blocks(tensor.shape[1])}));
  if (scales->type == DType::kF32) return scales;
  return bad_input("tensor '" + scales->name + "' has type " +
                   std::string(dtype_info(scales->type).name) + ", scales are F32");
}

Result<PublishedMatrix> WeightLoader::matrix(const std::string& name, std::int64_t rows,
                                             std::int64_t cols) {
  PublishedMatrix published;
  BUNDLE_TRY(published.tensor, tensor(name, {rows, cols}));
  published.view = {published.tensor->type, published.tensor->data, rows, cols};
  if (published.tensor->type != DType::kF8E4M3) return published;
  BUNDLE_TRY(published.scales, scales_of(*published.tensor, name));
  published.view.block_scales = reinterpret_cast<const float*>(published.scales->data.data());
  published.view.scale_stride = published.scales->shape[1];
  return published;
}

Status WeightLoader::loaded(const PublishedMatrix& matrix, bool uses_source) {
  if (!uses_source) checkpoint_.drop(*matrix.tensor);
  return tell(matrix.tensor->data.size() +
              (matrix.scales == nullptr ? 0 : matrix.scales->data.size()));
}

Result<std::unique_ptr<kernels::Matrix>> WeightLoader::pack(
    std::span<const kernels::WeightView> views, const std::string& where) {
  auto packed = device_.pack(views);
  if (packed.has_error()) {
    Error error = std::move(packed).error();
    if (error.where.empty()) error.where = where;
    return error;
  }
  resident_ += (*packed)->resident_bytes();
  return packed;
}

Result<Linear> WeightLoader::linear(std::span<const LinearPart> parts, std::int64_t cols,
                                    Bias bias) {
  std::vector<PublishedMatrix> published;
  std::vector<kernels::WeightView> views;
  for (const LinearPart& part : parts) {
    BUNDLE_TRY(PublishedMatrix one, matrix(part.name + ".weight", part.rows, cols));
    published.push_back(one);
    views.push_back(one.view);
  }
  Linear linear;
  BUNDLE_TRY(const std::vector<float> biases, bias_of(parts, bias));
  if (!biases.empty()) {
    BUNDLE_TRY(linear.bias, device_.place(biases));
  }
  BUNDLE_TRY(linear.weight, pack(views, published.front().tensor->name));
  for (const PublishedMatrix& one : published) {
    BUNDLE_CHECK(loaded(one, linear.weight->uses_source()));
  }
  return linear;
}

Result<Linear> WeightLoader::wide_linear(const LinearPart& part, std::int64_t cols) {
  BUNDLE_TRY(const PublishedMatrix published, matrix(part.name + ".weight", part.rows, cols));
  if (published.view.type == DType::kF32) return linear(part, cols);
  Linear linear;
  linear.source.resize(static_cast<std::size_t>(part.rows * cols));
  for (std::int64_t r = 0; r < part.rows; ++r) {
    kernels::dequantize_row(published.view, r, linear.source.data() + r * cols);
  }
  const kernels::WeightView wide{DType::kF32, std::as_bytes(std::span(linear.source)), part.rows,
                                 cols};
  BUNDLE_TRY(linear.weight, pack({&wide, 1}, published.tensor->name));
  if (linear.weight->uses_source()) {
    resident_ += linear.source.size() * sizeof(float);
  } else {
    linear.source = {};
  }
  BUNDLE_CHECK(loaded(published, false));
  return linear;
}

Result<std::unique_ptr<kernels::Experts>> WeightLoader::experts(std::span<const ExpertNames> names,
                                                                std::int64_t hidden,
                                                                std::int64_t width) {
  std::vector<PublishedMatrix> published;
  std::vector<kernels::ExpertView> views;
  for (const ExpertNames& expert : names) {
    BUNDLE_TRY(const PublishedMatrix gate, matrix(expert.gate + ".weight", width, hidden));
    BUNDLE_TRY(const PublishedMatrix up, matrix(expert.up + ".weight", width, hidden));
    BUNDLE_TRY(const PublishedMatrix down, matrix(expert.down + ".weight", hidden, width));
    views.push_back({gate.view, up.view, down.view});
    published.insert(published.end(), {gate, up, down});
  }
  auto packed = device_.pack_experts(views);
  if (packed.has_error()) {
    Error error = std::move(packed).error();
    if (error.where.empty()) error.where = published.front().tensor->name;
    return error;
  }
  resident_ += (*packed)->resident_bytes();
  for (const PublishedMatrix& one : published) {
    BUNDLE_CHECK(loaded(one, (*packed)->uses_source()));
  }
  return packed;
}

}  // namespace bundle::model
