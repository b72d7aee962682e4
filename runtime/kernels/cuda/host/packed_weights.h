// Weights in the form that the GPU's kernels read (ops/weights.h): rows padded to 16 bytes, and
// block-quantized types taken apart into codes of 4 or 8 bits, scales of groups and scales of
// blocks. All block-quantized types of ggml have this one form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/dtype.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// How a row of one type lies in device memory.
struct PackedRow {
  WeightKind kind = WeightKind::kF32;
  std::int64_t stride = 0;  // DeviceMatrix::stride
  std::size_t data_bytes = 0;
  std::size_t block_bytes = 0;  // of QuantScales::blocks; 0: not quantized
  std::size_t group_bytes = 0;
  QuantScales quant;  // without its pointers
};

/// None for a type that the kernels can not multiply, or a width that it can not have.
std::optional<PackedRow> packed_row(DType type, std::int64_t cols);

/// Writes one published row of `cols` elements in that form: data_bytes, block_bytes and
/// group_bytes to the three places.
void pack_row(DType type, const std::byte* row, std::int64_t cols, std::byte* data,
              std::byte* blocks, std::byte* groups);

}  // namespace bundle::kernels::cuda
