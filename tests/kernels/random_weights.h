// Random tensors for kernel tests: every bit pattern of codes and group scales, with block scales
// of a size that real models have.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels {

/// Every type that a CPU device multiplies.
inline constexpr DType kWeightTypes[] = {
    DType::kF32,  DType::kF16,   DType::kBF16,  DType::kQ4_0,   DType::kQ4_1, DType::kQ5_0,
    DType::kQ5_1, DType::kQ8_0,  DType::kQ2K,   DType::kQ3K,    DType::kQ4K,  DType::kQ5K,
    DType::kQ6K,  DType::kIQ4NL, DType::kIQ4XS, DType::kF8E4M3, DType::kI8};

/// A published matrix that owns its bytes.
struct RandomWeights {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  std::vector<std::byte> bytes;
  std::vector<float> scales = {};  // of 8-bit types, one for each scale_rows x 128
  std::int64_t scale_rows = kScaleBlock;

  WeightView view() const {
    if (scales.empty()) return {type, bytes, rows, cols};
    const std::int64_t stride = (cols + kScaleBlock - 1) / kScaleBlock;
    return {type, bytes, rows, cols, scales.data(), stride, 0, scale_rows};
  }
  std::int64_t row_bytes() const { return static_cast<std::int64_t>(bytes.size()) / rows; }
  /// One row as float.
  std::vector<float> row(std::int64_t index) const;
};

/// `scale` is about the largest weight. 8-bit floats have a scale for each 128x128, integers for
/// each row's 128 columns.
RandomWeights random_weights(DType type, std::int64_t rows, std::int64_t cols, std::uint32_t seed,
                             float scale = 0.1f);
/// `weights`, an 8-bit type's, with scales for each scale_rows x 128.
RandomWeights with_scales(RandomWeights weights, std::int64_t scale_rows, std::uint32_t seed,
                          float scale = 0.1f);

std::vector<float> random_floats(std::int64_t n, std::uint32_t seed, float scale = 1.0f);

/// "Q4_K_avx2"-like names for parameterized tests.
std::string test_name(DType type, const std::string& isa);

}  // namespace bundle::kernels
