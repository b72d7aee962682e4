// A published matrix with rows and columns exchanged, for products with its transpose.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/kernels/device.h"

namespace bundle::model {

/// Owns what its view refers to. Floats, and 8-bit floats whose blocks the rows fill from their
/// start, keep their type; other types become float32, which holds them exactly.
struct Transposed {
  std::vector<std::byte> bytes;
  std::vector<float> scales;
  kernels::WeightView view;
};

Transposed transpose(const kernels::WeightView& matrix);

}  // namespace bundle::model
