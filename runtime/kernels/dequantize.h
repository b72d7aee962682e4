// Weights of any type as float, element by element: for the reference device and for tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels {

/// Writes n consecutive elements; `row` holds storage_bytes(type, n) bytes, n fills whole blocks.
/// Quantized types give ggml's floats bit for bit. 8-bit floats come without their block scales.
void dequantize_row(DType type, const std::byte* row, std::int64_t n, float* out);

/// Row r of a published matrix, block scales included; `out` has cols elements.
void dequantize_row(const WeightView& weights, std::int64_t r, float* out);

}  // namespace bundle::kernels
