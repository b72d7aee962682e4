// Random published weights on the device, with the values that they stand for.
#pragma once

#include <memory>

#include "base/dtype.h"
#include "tests/kernels/cuda/check_tools.h"

namespace bundle::kernels::cuda {

/// Every type that the kernels multiply.
inline constexpr DType kDeviceTypes[] = {
    DType::kF32,  DType::kF16,  DType::kBF16,  DType::kF8E4M3, DType::kQ4_0, DType::kQ4_1,
    DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,  DType::kQ2K,    DType::kQ3K,  DType::kQ4K,
    DType::kQ5K,  DType::kQ6K,  DType::kIQ4NL, DType::kIQ4XS,  DType::kI8};

/// (rows, cols) of one type, packed as CudaMatrix packs them.
class DeviceWeights {
 public:
  DeviceWeights(const Subject& subject, DType type, std::int64_t rows, std::int64_t cols,
                std::mt19937& random);
  /// The same, with scales for each scale_rows x 128.
  DeviceWeights(const Subject& subject, DType type, std::int64_t rows, std::int64_t cols,
                std::mt19937& random, std::int64_t scale_rows);

  const DeviceMatrix& matrix() const { return matrix_; }
  /// Element (r, c) as float.
  float at(std::int64_t r, std::int64_t c) const {
    return values_[static_cast<std::size_t>(r * matrix_.cols + c)];
  }

 private:
  void add_scales(const Subject& subject, std::mt19937& random, std::int64_t scale_rows);

  DeviceMatrix matrix_;
  std::vector<float> values_;
  std::unique_ptr<DeviceArray<float>> scales_;
  std::unique_ptr<DeviceArray<std::int32_t>> scale_rows_;
  std::unique_ptr<DeviceArray<std::byte>> data_, blocks_, groups_;
};

}  // namespace bundle::kernels::cuda
