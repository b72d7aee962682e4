#include "runtime/model/transposed.h"

#include <cstring>

#include "runtime/kernels/dequantize.h"

namespace bundle::model {
namespace {

using kernels::kScaleBlock;
using kernels::WeightView;

/// (rows, cols) elements of `size` bytes to (cols, rows).
std::vector<std::byte> turn(const std::byte* from, std::int64_t rows, std::int64_t cols,
                            std::size_t size) {
  std::vector<std::byte> turned(static_cast<std::size_t>(rows * cols) * size);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      std::memcpy(turned.data() + static_cast<std::size_t>(c * rows + r) * size,
                  from + static_cast<std::size_t>(r * cols + c) * size, size);
    }
  }
  return turned;
}

bool keeps_type(const WeightView& matrix) {
  if (matrix.type == DType::kF8E4M3) {
    return matrix.scale_rows == kScaleBlock && matrix.scale_row % kScaleBlock == 0;
  }
  return matrix.type == DType::kF32 || matrix.type == DType::kF16 || matrix.type == DType::kBF16;
}

std::vector<float> widen(const WeightView& matrix) {
  std::vector<float> values(static_cast<std::size_t>(matrix.rows * matrix.cols));
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    kernels::dequantize_row(matrix, r, values.data() + r * matrix.cols);
  }
  return values;
}

void turn_scales(const WeightView& matrix, Transposed& out) {
  const std::int64_t row_blocks = (matrix.rows + kScaleBlock - 1) / kScaleBlock;
  const std::int64_t col_blocks = (matrix.cols + kScaleBlock - 1) / kScaleBlock;
  for (std::int64_t c = 0; c < col_blocks; ++c) {
    for (std::int64_t r = 0; r < row_blocks; ++r) {
      out.scales.push_back(matrix.scales_of(r * kScaleBlock)[c]);
    }
  }
  out.view.block_scales = out.scales.data();
  out.view.scale_stride = row_blocks;
}

}  // namespace

Transposed transpose(const WeightView& matrix) {
  Transposed out;
  out.view = {matrix.type, {}, matrix.cols, matrix.rows};
  if (keeps_type(matrix)) {
    out.bytes = turn(matrix.data.data(), matrix.rows, matrix.cols,
                     static_cast<std::size_t>(dtype_info(matrix.type).bytes));
    if (matrix.type == DType::kF8E4M3) turn_scales(matrix, out);
  } else {
    const std::vector<float> wide = widen(matrix);
    out.bytes = turn(std::as_bytes(std::span(wide)).data(), matrix.rows, matrix.cols, 4);
    out.view.type = DType::kF32;
  }
  out.view.data = out.bytes;
  return out;
}

}  // namespace bundle::model
