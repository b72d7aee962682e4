#include "runtime/format/weight_scales.h"

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
                   std::string(dtype_info(scales.type).name) + ", scales are F32");
}

Result<WeightScales> as_blocks(const TensorView& scales, const TensorView& matrix) {
  const Shape wanted = block_shape(matrix);
  if (scales.shape != wanted) {
    return wrong_shape(scales, "the configuration asks for " + shape_text(wanted));
  }
  if (scales.type != DType::kF32) return wrong_type(scales);
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
  if (scales.type != DType::kF32 && scales.type != DType::kF16 && scales.type != DType::kBF16) {
    return wrong_type(scales);
  }
  return WeightScales{is_row ? ScaleForm::kRows : ScaleForm::kMatrix, &scales};
}

}  // namespace

Result<WeightScales> weight_scales(const Checkpoint& checkpoint, const TensorView& matrix) {
  if (!needs_scales(matrix.type)) return WeightScales{};
  if (matrix.shape.size() != 2) {
    return bad_input("tensor '" + matrix.name + "' of type " +
                     std::string(dtype_info(matrix.type).name) + " is no matrix");
  }
  const std::string inverse = matrix.name + "_scale_inv";
  if (const TensorView* scales = checkpoint.find(inverse)) return as_blocks(*scales, matrix);
  const TensorView* scales = checkpoint.find(matrix.name + "_scale");
  if (scales != nullptr) return in_any_form(*scales, matrix);
  const bool is_float = matrix.type == DType::kF8E4M3;
  return bad_input("tensor '" + (is_float ? inverse : matrix.name + "_scale") + "' is missing", "",
                   "The checkpoint is incomplete: fetch it again.");
}

}  // namespace bundle::format
