// Weight matrices of any kind with random content, made on the device.
#pragma once

#include "base/dtype.h"
#include "runtime/kernels/cuda/host/packed_weights.h"
#include "tests/gpu/bench.h"

namespace bundle::kernels::cuda {

/// Bytes that a product must read of a matrix in the kernels' layout.
inline double matrix_bytes(DType type, std::int64_t rows, std::int64_t cols) {
  const PackedRow row = *packed_row(type, cols);
  return static_cast<double>(rows) *
         static_cast<double>(row.data_bytes + row.block_bytes + row.group_bytes);
}

/// Its data is null when the pool has no memory left.
inline DeviceMatrix random_matrix(Pool& pool, DType type, std::int64_t rows, std::int64_t cols) {
  const PackedRow row = *packed_row(type, cols);
  const auto take = [&](std::size_t bytes) {
    return bytes == 0 ? nullptr
                      : pool.take(static_cast<std::size_t>(rows) * bytes, MemoryKind::kWeights);
  };
  DeviceMatrix matrix{row.kind, rows, cols, row.stride, take(row.data_bytes), row.quant, nullptr};
  matrix.quant.blocks = take(row.block_bytes);
  matrix.quant.groups = take(row.group_bytes);
  return matrix;
}

}  // namespace bundle::kernels::cuda
