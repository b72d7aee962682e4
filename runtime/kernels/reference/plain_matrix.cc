#include "runtime/kernels/reference/plain_matrix.h"

#include <algorithm>
#include <array>
#include <string>

#include "runtime/kernels/dequantize.h"

namespace bundle::kernels::reference {
namespace {

constexpr std::int64_t kLanes = 16;

bool multiplies(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || is_quantized(type);
}

Status check_part(const WeightView& part, std::int64_t cols) {
  const std::string type(dtype_info(part.type).name);
  if (!multiplies(part.type)) return bad_input("no kernel multiplies weights of type " + type);
  if (part.cols != cols) return bad_input("stacked matrices differ in width");
  const auto row = storage_bytes(part.type, part.cols);
  if (!row || part.rows < 0 || *row == 0 || part.data.size() % *row != 0 ||
      part.data.size() / *row != static_cast<std::uint64_t>(part.rows)) {
    return bad_input("a matrix of type " + type + " has not the bytes of its shape");
  }
  return {};
}

}  // namespace

Result<PlainMatrix> PlainMatrix::make(std::span<const WeightView> parts) {
  PlainMatrix matrix;
  if (parts.empty()) return bad_input("a matrix of no parts");
  matrix.cols_ = parts.front().cols;
  for (const WeightView& part : parts) {
    BUNDLE_CHECK(check_part(part, matrix.cols_));
    matrix.rows_ += part.rows;
  }
  matrix.parts_.assign(parts.begin(), parts.end());
  return matrix;
}

void PlainMatrix::widen_row(std::int64_t r, float* out) const {
  auto part = parts_.begin();
  while (r >= part->rows) r -= (part++)->rows;
  const std::size_t row_bytes = part->data.size() / static_cast<std::size_t>(part->rows);
  dequantize_row(part->type, part->data.data() + static_cast<std::size_t>(r) * row_bytes, cols_,
                 out);
}

float dot(const float* a, const float* b, std::int64_t n) {
  std::array<float, kLanes> sums{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (std::int64_t k = 0; i < n; ++i, ++k) sums[k] += a[i] * b[i];
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t k = 0; k < width; ++k) sums[k] += sums[k + width];
  }
  return sums[0];
}

void multiply(const PlainMatrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) {
  std::vector<float> row(static_cast<std::size_t>(w.cols()));
  for (std::int64_t r = 0; r < w.rows(); ++r) {
    w.widen_row(r, row.data());
    const float offset = bias != nullptr ? bias[r] : 0.0f;
    for (std::int64_t i = 0; i < x.rows; ++i) {
      const float sum = dot(row.data(), x.f32() + i * x.cols, w.cols()) + offset;
      float& out = y.f32()[i * y.cols + r];
      out = accumulate ? out + sum : sum;
    }
  }
}

}  // namespace bundle::kernels::reference
