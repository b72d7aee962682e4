// The experts of one layer in device memory: each of their matrices as one stack.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/kernels/cuda/host/cuda_matrix.h"

namespace bundle::kernels::cuda {

class CudaExperts final : public Experts {
 public:
  /// Of each expert, rows of a stack that go to columns [first, …) of gate and up.
  struct First {
    std::unique_ptr<CudaMatrix> stack;
    std::int64_t first = 0;
  };

  /// kBadInput for experts that differ in shape or type, and as CudaMatrix::make.
  static Result<std::unique_ptr<CudaExperts>> make(Driver& driver, Uploader& uploader,
                                                   std::span<const ExpertView> experts);

  std::int64_t count() const override { return count_; }
  bool uses_source() const override { return false; }
  /// Host memory: none.
  std::size_t resident_bytes() const override { return 0; }

  /// Columns of gate, and of up.
  std::int64_t width() const { return down_->cols(); }
  /// Gate and up as one stack where they are of one type, or as two.
  std::span<const First> gate_up() const { return gate_up_; }
  const CudaMatrix& down() const { return *down_; }

 private:
  std::int64_t count_ = 0;
  std::vector<First> gate_up_;
  std::unique_ptr<CudaMatrix> down_;
};

}  // namespace bundle::kernels::cuda
