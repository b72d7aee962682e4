// A weight matrix of the reference device: the published bytes as they are, widened on use.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::kernels::reference {

/// Parts stacked by rows. Refers to the published bytes, copies nothing.
class PlainMatrix final : public Matrix {
 public:
  /// kBadInput for a type that cannot be widened, for parts of different width, and for data whose
  /// length is not the shape's.
  static Result<PlainMatrix> make(std::span<const WeightView> parts);

  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  bool uses_source() const override { return true; }
  std::size_t resident_bytes() const override { return 0; }

  /// Row r in float; `out` has cols() elements.
  void widen_row(std::int64_t r, float* out) const;
  /// All rows, (rows, cols).
  std::vector<float> widened() const;

 private:
  PlainMatrix() = default;

  std::vector<WeightView> parts_;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

/// y (n, w.rows) = x (n, w.cols) · wᵀ + bias, or y += … with `accumulate`.
void multiply(const PlainMatrix& w, Tensor x, const float* bias, bool accumulate, Tensor y);

}  // namespace bundle::kernels::reference
