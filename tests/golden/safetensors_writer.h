// Writes safetensors files for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace bundle::golden {

/// A tensor with its bytes; shape outermost first.
struct StoredTensor {
  std::string name;
  DType type = DType::kBF16;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

/// A whole safetensors file, tensors in the order given.
std::string safetensors_text(const std::vector<StoredTensor>& tensors);

}  // namespace bundle::golden
