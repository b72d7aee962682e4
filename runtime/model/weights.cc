#include "runtime/model/weights.h"

#include <algorithm>
#include <cstring>

#include "base/weight_type.h"
#include "runtime/format/model_config.h"
#include "runtime/format/required_tensors.h"
#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/float8_check.h"

namespace bundle::model {
namespace {

using format::TensorView;

/// Columns where an 8-bit matrix can be parted: between blocks that share a scale; else, where all
/// of a row do, between what kernels of integers take at a time.
std::int64_t scaled_unit(format::ScaleForm form) {
  return form == format::ScaleForm::kBlocks ? kernels::kScaleBlock : kInt8Columns;
}

/// Says which matrix could not be packed: the one that holds a NaN, else the first.
Error located(Error error, const std::vector<PublishedMatrix>& published) {
  if (!error.where.empty()) return error;
  const auto holder =
      std::find_if(published.begin(), published.end(), [](const PublishedMatrix& matrix) {
        return matrix.view.type == DType::kF8E4M3 && kernels::holds_nan(matrix.view.data);
      });
  error.where = (holder == published.end() ? published.front() : *holder).tensor->name;
  return error;
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

kernels::WeightView rows_of(const kernels::WeightView& matrix, const Part& part) {
  const std::size_t row_bytes = matrix.data.size() / static_cast<std::size_t>(matrix.rows);
  const std::int64_t count = part.size(matrix.rows);
  kernels::WeightView rows = matrix;
  rows.rows = count;
  rows.data = matrix.data.subspan(static_cast<std::size_t>(part.first) * row_bytes,
                                  static_cast<std::size_t>(count) * row_bytes);
  rows.scale_row = matrix.scale_row + part.first;
  return rows;
}

WeightLoader::WeightLoader(const format::Checkpoint& checkpoint, kernels::Device& device,
                           const Progress& progress, const Team* team)
    : checkpoint_(checkpoint),
      device_(device),
      progress_(progress),
      team_(team),
      placement_(team == nullptr ? Placement() : team->placement()),
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

void WeightLoader::leave_out_matrix(const std::string& name) {
  for (const char* kind : {".weight", ".weight_scale_inv", ".weight_scale"}) {
    const TensorView* tensor = format::find_optional_tensor(checkpoint_, name + kind);
    if (tensor != nullptr) total_ -= std::min<std::uint64_t>(total_, tensor->data.size());
  }
}

std::int64_t WeightLoader::column_unit(const std::string& name) const {
  const TensorView* tensor = format::find_optional_tensor(checkpoint_, name + ".weight");
  if (tensor == nullptr) return 1;
  if (!needs_scales(tensor->type)) return dtype_info(tensor->type).block;
  const auto scales = format::weight_scales(checkpoint_, *tensor);
  return scales ? scaled_unit(scales->form) : kernels::kScaleBlock;
}

Status WeightLoader::tell(std::uint64_t bytes) {
  done_ += bytes;
  if (progress_ && !progress_("loading weights", done_, total_)) {
    return Error{ErrorCode::kInterrupted, "loading the weights was interrupted"};
  }
  return {};
}

Result<std::vector<float>> WeightLoader::widen(const TensorView& tensor) {
  if (!is_number(tensor.type)) {
    return bad_input("tensor '" + tensor.name + "' has type " +
                     std::string(dtype_info(tensor.type).name) + ", where real numbers belong");
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  kernels::dequantize_row(tensor.type, tensor.data.data(), tensor.elements(), values.data());
  resident_ += values.size() * sizeof(float);
  read_ += tensor.data.size();
  BUNDLE_CHECK(tell(tensor.data.size()));
  return values;
}

Result<std::vector<float>> WeightLoader::vector(std::string_view name, std::int64_t size) {
  BUNDLE_TRY(const TensorView* tensor, require(checkpoint_, name));
  BUNDLE_CHECK(format::check_shape(*tensor, {size}));
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
    const auto first = values.begin() + part.take.first;
    all.insert(all.end(), first, first + part.take.size(part.rows));
  }
  if (!any) all.clear();
  return all;
}

bool WeightLoader::has(std::string_view name) const {
  return format::find_optional_tensor(checkpoint_, name) != nullptr;
}

Result<bool> WeightLoader::same_or_absent(std::string_view name, std::string_view other,
                                          const Part& rows) {
  const TensorView* own = format::find_optional_tensor(checkpoint_, name);
  if (own == nullptr) return true;
  const TensorView* main = format::find_optional_tensor(checkpoint_, other);
  if (main == nullptr || main->type != own->type || main->shape != own->shape) return false;
  if (own->shape.size() != 2) return false;
  const auto bytes = [&rows](const TensorView& tensor) {
    return rows_of({tensor.type, tensor.data, tensor.shape[0], tensor.shape[1]}, rows).data;
  };
  const Bytes own_bytes = bytes(*own), main_bytes = bytes(*main);
  if (std::memcmp(main_bytes.data(), own_bytes.data(), own_bytes.size()) != 0) return false;
  read_ += own_bytes.size();
  checkpoint_.drop(*own);
  BUNDLE_CHECK(tell(own->data.size()));
  return true;
}

Result<const TensorView*> WeightLoader::tensor(std::string_view name,
                                               const std::vector<std::int64_t>& shape) {
  BUNDLE_TRY(const TensorView* tensor, require(checkpoint_, name));
  BUNDLE_CHECK(format::check_shape(*tensor, shape));
  return tensor;
}

/// Scales of rows, or of the whole matrix, are spread over blocks of 128 columns: 3 % of the
/// matrix, while it is being packed. Halves become floats.
Status WeightLoader::add_scales(PublishedMatrix& published) const {
  BUNDLE_TRY(published.scales, format::weight_scales(checkpoint_, *published.tensor));
  const format::WeightScales& scales = published.scales;
  kernels::WeightView& view = published.view;
  view.scale_stride = (view.cols - 1) / kernels::kScaleBlock + 1;
  BUNDLE_CHECK(format::check_finite(*scales.tensor));
  const bool in_blocks = scales.form == format::ScaleForm::kBlocks;
  if (in_blocks && scales.tensor->type == DType::kF32) {
    view.block_scales = reinterpret_cast<const float*>(scales.tensor->data.data());
    return {};
  }
  std::vector<float> each(static_cast<std::size_t>(scales.tensor->elements()));
  kernels::dequantize_row(scales.tensor->type, scales.tensor->data.data(),
                          scales.tensor->elements(), each.data());
  if (in_blocks) {
    published.made.scales = std::move(each);
    view.block_scales = published.made.scales.data();
    return {};
  }
  const bool of_rows = scales.form == format::ScaleForm::kRows;
  view.scale_rows = of_rows ? 1 : kernels::kScaleBlock;
  const std::int64_t blocks = (view.rows - 1) / view.scale_rows + 1;
  for (std::int64_t b = 0; b < blocks; ++b) {
    published.made.scales.insert(published.made.scales.end(),
                                 static_cast<std::size_t>(view.scale_stride),
                                 each[of_rows ? static_cast<std::size_t>(b) : 0]);
  }
  view.block_scales = published.made.scales.data();
  return {};
}

Result<PublishedMatrix> WeightLoader::matrix(const std::string& name, std::int64_t rows,
                                             std::int64_t cols, const Part& row_part,
                                             const Part& column_part) {
  PublishedMatrix published;
  BUNDLE_TRY(published.tensor, tensor(name, {rows, cols}));
  published.view = {published.tensor->type, published.tensor->data, rows, cols};
  if (needs_scales(published.tensor->type)) BUNDLE_CHECK(add_scales(published));
  if (!row_part.all_of(rows)) published.view = rows_of(published.view, row_part);
  published.rows = published.view.data;
  if (!column_part.all_of(cols)) BUNDLE_CHECK(cut_columns(published, column_part));
  return published;
}

/// Copies the columns out, row by row; blocks stay whole.
Status WeightLoader::cut_columns(PublishedMatrix& published, const Part& part) const {
  kernels::WeightView& view = published.view;
  const DTypeInfo& info = dtype_info(view.type);
  const std::int64_t unit =
      needs_scales(view.type) ? scaled_unit(published.scales.form) : info.block;
  const std::int64_t end = part.first + part.count;
  if (part.first % unit != 0 || (end % unit != 0 && end != view.cols)) {
    return Error{ErrorCode::kUsage,
                 "columns " + std::to_string(part.first) + " to " + std::to_string(end) +
                     " of a rank would cut the blocks of " + std::to_string(unit) +
                     " columns that weights of type " + std::string(info.name) + " have",
                 published.tensor->name, "Divide the model over fewer tensor-parallel ranks."};
  }
  const auto bytes = [&info](std::int64_t elements) {
    return static_cast<std::size_t>(elements / info.block * info.bytes);
  };
  const std::size_t row_bytes = bytes(view.cols), first = bytes(part.first);
  const std::size_t count = bytes(part.count);
  const std::size_t size = count * static_cast<std::size_t>(view.rows);
  published.made.columns = std::make_unique<std::byte[]>(size);
  published.made.columns_size = size;
  for (std::size_t r = 0; r < static_cast<std::size_t>(view.rows); ++r) {
    std::memcpy(published.made.columns.get() + r * count, view.data.data() + r * row_bytes + first,
                count);
  }
  view.data = {published.made.columns.get(), size};
  view.cols = part.count;
  // Other forms' scales are alike in all columns.
  if (published.scales.form == format::ScaleForm::kBlocks)
    view.block_scales += part.first / kernels::kScaleBlock;
  return {};
}

Status WeightLoader::loaded(const PublishedMatrix& matrix, bool uses_source) {
  TensorView read = *matrix.tensor;
  if (!matrix.rows.empty()) read.data = matrix.rows;
  const std::size_t cut = matrix.made.columns_size;
  if (!uses_source || cut > 0) checkpoint_.drop(read);
  if (uses_source) resident_ += cut + matrix.made.scales.size() * sizeof(float);
  read_ += cut > 0 ? cut : read.data.size();
  read_ += matrix.scales.tensor == nullptr ? 0 : matrix.scales.tensor->data.size();
  return tell(matrix.tensor->data.size() +
              (matrix.scales.tensor == nullptr ? 0 : matrix.scales.tensor->data.size()));
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

Result<Linear> WeightLoader::linear(std::span<const LinearPart> parts, std::int64_t cols, Bias bias,
                                    const Part& taken) {
  std::vector<PublishedMatrix> published;
  std::vector<kernels::WeightView> views;
  for (const LinearPart& part : parts) {
    BUNDLE_TRY(PublishedMatrix one,
               matrix(part.name + ".weight", part.rows, cols, part.take, taken));
    views.push_back(one.view);
    published.push_back(std::move(one));
  }
  Linear linear;
  BUNDLE_TRY(const std::vector<float> biases, bias_of(parts, bias));
  if (!biases.empty()) {
    BUNDLE_TRY(linear.bias, device_.place(biases));
  }
  auto packed = pack(views, "");
  if (packed.has_error()) return located(std::move(packed).error(), published);
  linear.weight = std::move(*packed);
  for (PublishedMatrix& one : published) {
    BUNDLE_CHECK(loaded(one, linear.weight->uses_source()));
    if (linear.weight->uses_source()) linear.made.push_back(std::move(one.made));
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

Result<LoadedExperts> WeightLoader::experts(std::span<const ExpertNames> names, std::int64_t hidden,
                                            std::int64_t width, const Part& taken) {
  std::vector<PublishedMatrix> published;
  std::vector<kernels::ExpertView> views;
  for (const ExpertNames& expert : names) {
    BUNDLE_TRY(PublishedMatrix gate, matrix(expert.gate + ".weight", width, hidden, taken));
    BUNDLE_TRY(PublishedMatrix up, matrix(expert.up + ".weight", width, hidden, taken));
    BUNDLE_TRY(PublishedMatrix down, matrix(expert.down + ".weight", hidden, width, {}, taken));
    views.push_back({gate.view, up.view, down.view});
    for (PublishedMatrix* one : {&gate, &up, &down}) published.push_back(std::move(*one));
  }
  auto packed = device_.pack_experts(views);
  if (packed.has_error()) return located(std::move(packed).error(), published);
  LoadedExperts loaded_experts{std::move(*packed), {}};
  const bool uses_source = loaded_experts.experts->uses_source();
  resident_ += loaded_experts.experts->resident_bytes();
  for (PublishedMatrix& one : published) {
    BUNDLE_CHECK(loaded(one, uses_source));
    if (uses_source) loaded_experts.made.push_back(std::move(one.made));
  }
  return loaded_experts;
}

}  // namespace bundle::model
