// A matrix as DeepSeek-V3 publishes it: e4m3 with one float scale for each 128x128 block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bundle::golden {

struct Fp8Blocks {
  std::string codes;          // (rows, cols)
  std::vector<float> scales;  // (ceil(rows / 128), ceil(cols / 128)): largest magnitude / 448
};

/// `values` is (rows, cols), row-major; scaled values are rounded to nearest, ties to even.
Fp8Blocks to_fp8_blocks(const std::vector<float>& values, std::int64_t rows, std::int64_t cols);

}  // namespace bundle::golden
