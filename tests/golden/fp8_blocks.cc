#include "tests/golden/fp8_blocks.h"

#include <algorithm>
#include <cmath>

#include "runtime/kernels/half.h"

namespace bundle::golden {
namespace {

constexpr std::int64_t kBlock = 128;
constexpr float kLeast = 1e-12f;
constexpr float kLargestCode = 448.0f;

std::int64_t blocks_in(std::int64_t size) { return (size + kBlock - 1) / kBlock; }

}  // namespace

Fp8Blocks to_fp8_blocks(const std::vector<float>& values, std::int64_t rows, std::int64_t cols) {
  Fp8Blocks out;
  const std::int64_t across = blocks_in(cols);
  out.scales.assign(static_cast<std::size_t>(blocks_in(rows) * across), kLeast);
  const auto scale_of = [&](std::int64_t r, std::int64_t c) -> float& {
    return out.scales[static_cast<std::size_t>(r / kBlock * across + c / kBlock)];
  };
  const auto value_of = [&](std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * cols + c)];
  };
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      scale_of(r, c) = std::max(scale_of(r, c), std::abs(value_of(r, c)));
    }
  }
  for (float& scale : out.scales) scale /= kLargestCode;
  out.codes.reserve(values.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      const float scaled = value_of(r, c) / scale_of(r, c);
      out.codes += static_cast<char>(kernels::float_to_f8e4m3(scaled));
    }
  }
  return out;
}

}  // namespace bundle::golden
