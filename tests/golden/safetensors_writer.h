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

/// A tensor whose bytes are written elsewhere.
struct TensorPlace {
  std::string name;
  DType type = DType::kBF16;
  std::vector<std::int64_t> shape;
  std::uint64_t bytes = 0;
};

/// The head of a safetensors file: the tensors' bytes follow it in the order given.
std::string safetensors_header(const std::vector<TensorPlace>& tensors);

/// A whole safetensors file, tensors in the order given.
std::string safetensors_text(const std::vector<StoredTensor>& tensors);

}  // namespace bundle::golden
