#include "runtime/kernels/reference/plain_matrix.h"

#include <algorithm>
#include <string>

#include "base/weight_type.h"
#include "runtime/kernels/dequantize.h"
#include "runtime/kernels/float8_check.h"
#include "runtime/kernels/reference/plain_dot.h"

namespace bundle::kernels::reference {
namespace {

Status check_part(const WeightView& part, std::int64_t cols) {
  const std::string type(dtype_info(part.type).name);
  if (!is_weight(part.type)) return bad_input("no kernel multiplies weights of type " + type);
  if (part.cols != cols) return bad_input("stacked matrices differ in width");
  const auto row = storage_bytes(part.type, part.cols);
  if (!row || part.rows < 0 || *row == 0 || part.data.size() % *row != 0 ||
      part.data.size() / *row != static_cast<std::uint64_t>(part.rows)) {
    return bad_input("a matrix of type " + type + " has not the bytes of its shape");
  }
  if (needs_scales(part.type) && part.block_scales == nullptr) {
    return bad_input("a matrix of type " + type + " has no scales");
  }
  if (part.type == DType::kF8E4M3 && holds_nan(part.data)) return nan_error();
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
  dequantize_row(*part, r, out);
}

std::vector<float> PlainMatrix::widened() const {
  std::vector<float> values(static_cast<std::size_t>(rows_ * cols_));
  for (std::int64_t r = 0; r < rows_; ++r) widen_row(r, values.data() + r * cols_);
  return values;
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
