// A weight matrix in device memory: runs of rows of one kind each.
#pragma once

#include <span>
#include <vector>

#include "runtime/kernels/cuda/host/uploader.h"
#include "runtime/kernels/cuda/ops/ops.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cuda {

class CudaMatrix final : public Matrix {
 public:
  struct Run {
    DeviceMatrix matrix;
    std::int64_t first_row = 0;
  };

  /// Neighbouring parts of one type become one run. kBadInput for a type that no kernel multiplies
  /// and for shapes that do not fit; kFailed when device memory does not suffice.
  static Result<std::unique_ptr<CudaMatrix>> make(Driver& driver, Uploader& uploader,
                                                  std::span<const WeightView> parts);

  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  bool uses_source() const override { return false; }
  /// Host memory: none.
  std::size_t resident_bytes() const override { return 0; }

  std::span<const Run> runs() const { return runs_; }

 private:
  CudaMatrix() = default;
  Status add(Driver& driver, Uploader& uploader, std::span<const WeightView> parts);
  Result<const std::byte*> keep(Driver& driver, Uploader& uploader,
                                std::span<const std::byte> bytes);
  Status add_scales(Driver& driver, Uploader& uploader, std::span<const WeightView> parts,
                    DeviceMatrix& matrix);

  std::vector<Run> runs_;
  std::vector<DeviceBuffer> memory_;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

}  // namespace bundle::kernels::cuda
