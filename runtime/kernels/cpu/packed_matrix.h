// A weight matrix in the packed layout.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/kernels/cpu/huge_memory.h"
#include "runtime/kernels/cpu/packed_layout.h"
#include "runtime/kernels/cpu/thread_pool.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

/// Rows of one type; a stacked matrix has several.
struct PackedPart {
  PackedLayout layout;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t first_block = 0;  // counted over the whole matrix
  std::int64_t blocks = 0;
  const std::byte* data = nullptr;
};

/// Immutable; keeps its memory alive. Thread-safe.
class PackedMatrix : public Matrix {
 public:
  /// Repacks the published rows with all threads of the pool. kBadInput for a type that has no
  /// packed form, cols that do not fill its blocks, or data of the wrong size; kFailed when memory
  /// runs out.
  static Result<std::unique_ptr<PackedMatrix>> pack(std::span<const WeightView> parts,
                                                    HugeAllocator& allocator, ThreadPool& pool);

  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  bool uses_source() const override { return false; }
  std::size_t resident_bytes() const override;

  std::span<const PackedPart> parts() const { return parts_; }
  std::int64_t blocks() const { return blocks_; }
  /// Row `row` as float: cols() of them.
  void read_row(std::int64_t row, float* out) const;

 private:
  Status add_part(const WeightView& view, HugeAllocator& allocator, ThreadPool& pool);

  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t blocks_ = 0;
  std::vector<PackedPart> parts_;
  std::vector<std::shared_ptr<HugeMemory>> memory_;
};

}  // namespace bundle::kernels::cpu
