#include "runtime/quantize/quantize.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/half.h"
#include "runtime/quantize/block_encoder.h"

namespace bundle::quantize {
namespace {

constexpr float kLargestF8 = 448.0f;  // of e4m3
constexpr float kLargestInt8 = 127.0f;
/// 1.5 · 2^23: a float of small magnitude added to it is rounded to an integer, halves to even,
/// which the sum's last bits then hold.
constexpr float kRounder = 12582912.0f;

/// The scale of one block of at most 128 columns.
float f8_scale(const float* values, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  float largest = 0.0f;
  for (std::int64_t r = 0; r < rows; ++r) {
    largest = std::max(largest, block_encoder().largest(values + r * stride, cols));
  }
  return largest == 0.0f ? 1.0f : largest / kLargestF8;
}

template <auto narrow>
void encode_halfs(const float* row, std::int64_t n, std::byte* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint16_t half = narrow(row[i]);
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
}

}  // namespace

const BlockEncoder& block_encoder() {
  static const BlockEncoder& chosen =
      __builtin_cpu_supports("avx2") != 0 ? kAvx2Encoder : kPlainEncoder;
  return chosen;
}

void read_row(const SourceMatrix& matrix, std::int64_t row, std::int64_t first_col, std::int64_t n,
              float* out) {
  if (matrix.type == DType::kF8E4M3) {
    const kernels::WeightView view{matrix.type,         matrix.data,
                                   matrix.rows,         matrix.cols,
                                   matrix.block_scales, (matrix.cols - 1) / kScaleBlock + 1};
    return kernels::dequantize_row(view, row, out);
  }
  const std::int64_t element = row * matrix.cols + first_col;
  const std::byte* from = matrix.data.data() + element * dtype_info(matrix.type).bytes;
  kernels::dequantize_row(matrix.type, from, n, out);
}

float largest_magnitude(const float* values, std::int64_t n) {
  return block_encoder().largest(values, n);
}

void encode_row(DType type, const float* row, std::int64_t n, std::byte* out) {
  const BlockEncoder& encoder = block_encoder();
  switch (type) {
    case DType::kQ8_0:
      return encoder.q8_0(row, n, out);
    case DType::kQ4_0:
      return encoder.q4_0(row, n, out);
    case DType::kQ5_0:
      return encoder.q5_0(row, n, out);
    case DType::kQ4K:
      return encoder.q4_k(row, n, out);
    case DType::kF16:
      return encode_halfs<kernels::float_to_half>(row, n, out);
    case DType::kBF16:
      return encode_halfs<kernels::float_to_bf16>(row, n, out);
    default:
      std::memcpy(out, row, static_cast<std::size_t>(n) * sizeof(float));
  }
}

void encode_f8_strip(const float* values, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                     std::byte* out, float* scales) {
  for (std::int64_t c = 0; c < cols; c += kScaleBlock) {
    const std::int64_t width = std::min(kScaleBlock, cols - c);
    const float scale = f8_scale(values + c, rows, width, stride);
    scales[c / kScaleBlock] = scale;
    for (std::int64_t r = 0; r < rows; ++r) {
      block_encoder().f8(values + r * stride + c, width, scale, out + r * stride + c);
    }
  }
}

void encode_int8_rows(const float* values, std::int64_t rows, std::int64_t cols, std::byte* out,
                      float* scales) {
  for (std::int64_t r = 0; r < rows; ++r, values += cols, out += cols) {
    const float largest = largest_magnitude(values, cols);
    const float exact = largest / kLargestInt8;
    const float scale = exact < std::numeric_limits<float>::min() ? 1.0f : exact;
    scales[r] = scale;
    for (std::int64_t c = 0; c < cols; ++c) {
      out[c] = static_cast<std::byte>(std::bit_cast<std::uint32_t>(values[c] / scale + kRounder));
    }
  }
}

}  // namespace bundle::quantize
