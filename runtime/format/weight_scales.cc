#include "runtime/format/weight_scales.h"

#include <cstring>

namespace bundle::format {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::int64_t kBlock = 128;

std::int64_t blocks(std::int64_t size) { return size / kBlock + (size % kBlock != 0); }

Shape block_shape(const TensorView& matrix) {
  return {blocks(matrix.shape[0]), blocks(matrix.shape[1])};
}

Error wrong_shape(const TensorView& scales, const std::string& wanted) {
  return bad_input(
      "tensor '" + scales.name + "' has shape " + shape_text(scales.shape) + ", " + wanted, "",
      "Check that weights and configuration belong to the same model.");
}

Error wrong_type(const TensorView& scales) {
  return bad_input("tensor '" + scales.name + "' has type " +
                   std::string(dtype_info(scales.type).name) + ", scales are F32, F16 or BF16");
}

bool is_scale_type(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

Result<WeightScales> as_blocks(const TensorView& scales, const TensorView& matrix) {
  const Shape wanted = block_shape(matrix);
  if (scales.shape != wanted) {
    return wrong_shape(scales, "the configuration asks for " + shape_text(wanted));
  }
  if (!is_scale_type(scales.type)) return wrong_type(scales);
  return WeightScales{ScaleForm::kBlocks, &scales};
}

Result<WeightScales> in_any_form(const TensorView& scales, const TensorView& matrix) {
  const std::int64_t rows = matrix.shape[0];
  const bool is_row = scales.shape == Shape{rows, 1} || scales.shape == Shape{rows};
  if (!is_row && scales.elements() != 1) {
    if (scales.shape == block_shape(matrix)) return as_blocks(scales, matrix);
    return wrong_shape(scales, "scales of its matrix have one element, " + shape_text({rows, 1}) +
                                   " or " + shape_text(block_shape(matrix)));
  }
  if (!is_scale_type(scales.type)) return wrong_type(scales);
  return WeightScales{is_row ? ScaleForm::kRows : ScaleForm::kMatrix, &scales};
}

/// Whether all bits of an exponent are set in one of the words.
template <typename Word>
bool holds_infinite(const TensorView& tensor, Word exponent) {
  for (std::size_t at = 0; at + sizeof(Word) <= tensor.data.size(); at += sizeof(Word)) {
    Word word;
    std::memcpy(&word, tensor.data.data() + at, sizeof word);
    if ((word & exponent) == exponent) return true;
  }
  return false;
}

}  // namespace

Status check_finite(const TensorView& scales) {
  const bool is_wrong =
      scales.type == DType::kF32
          ? holds_infinite<std::uint32_t>(scales, 0x7f800000)
          : holds_infinite<std::uint16_t>(scales, scales.type == DType::kF16 ? 0x7c00 : 0x7f80);
  if (!is_wrong) return {};
  return bad_input("tensor '" + scales.name + "' holds a scale that is no finite number", "",
                   "The checkpoint is damaged: fetch it again.");
}

Result<WeightScales> weight_scales(const Checkpoint& checkpoint, const TensorView& matrix) {
  if (!needs_scales(matrix.type)) return WeightScales{};
  if (matrix.shape.size() != 2) {
    return bad_input("tensor '" + matrix.name + "' of type " +
                     std::string(dtype_info(matrix.type).name) + " is no matrix");
  }
  const std::string inverse = matrix.name + "_scale_inv";
  if (const TensorView* scales = checkpoint.find(inverse)) {
    // Mistral's FP8 checkpoints have one for the matrix under DeepSeek's name.
    const bool is_one = scales->elements() == 1 && scales->shape != block_shape(matrix);
    return is_one ? in_any_form(*scales, matrix) : as_blocks(*scales, matrix);
  }
  const TensorView* scales = checkpoint.find(matrix.name + "_scale");
  if (scales != nullptr) return in_any_form(*scales, matrix);
  const bool is_float = matrix.type == DType::kF8E4M3;
  return bad_input("tensor '" + (is_float ? inverse : matrix.name + "_scale") + "' is missing", "",
                   "The checkpoint is incomplete: fetch it again.");
}

Status check_finite_scales(const Checkpoint& checkpoint) {
  for (const auto& [name, matrix] : checkpoint.tensors()) {
    // Whether a matrix that is served has its scales was checked by then.
    const auto scales = weight_scales(checkpoint, matrix);
    if (scales && scales->tensor != nullptr) BUNDLE_CHECK(check_finite(*scales->tensor));
  }
  return {};
}

}  // namespace bundle::format
