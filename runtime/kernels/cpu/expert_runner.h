// A mixture's experts: rows are sorted by expert, and each expert that was chosen is multiplied
// once with all its rows. All experts of a wave are one loop for the threads, so that a single row
// with eight experts keeps them as busy as a large matrix would.
//
// A row's results are added up by expert number, and no product depends on the rows beside it: so
// the result does not depend on the batch.
#pragma once

#include <span>
#include <vector>

#include "runtime/kernels/cpu/growing_buffer.h"
#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/packed_experts.h"
#include "runtime/kernels/cpu/thread_pool.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels::cpu {

/// Holds the scratch memory between steps. Not thread-safe.
class ExpertRunner {
 public:
  ExpertRunner(const KernelTable& table, ThreadPool& pool) : table_(table), pool_(pool) {}

  /// Device::run_experts.
  void run(const PackedExperts& experts, Tensor x, Routing routing, Tensor y);

 private:
  /// A row on its way through an expert.
  struct Slot {
    std::int32_t row;
    float weight;
  };

  /// The slots of one expert, [first, first + count) of slots_.
  struct Group {
    std::int64_t expert;
    std::int64_t first;
    std::int64_t count;
  };

  /// Up to eight slots of a group: a unit of conversion.
  struct Run {
    std::int64_t group;
    std::int64_t first;
    std::int64_t count;
  };

  /// The matrices of a group's expert that a product is with.
  using MatrixOf = const PackedMatrix& (PackedExperts::*)(std::int64_t expert) const;

  void sort(std::int64_t experts, Routing routing);
  void run_wave(const PackedExperts& experts, std::span<const Group> wave, Tensor x, Tensor y);
  /// out (slots of the wave, rows of the matrix) = x · Wᵀ by each slot's expert. Row i of `x` is
  /// slot i's, or with `by_row` the slot's row.
  void multiply(const PackedExperts& experts, std::span<const Group> wave, MatrixOf matrix,
                Tensor x, bool by_row, float* out);
  void add_to_rows(std::span<const Group> wave, const float* results, Tensor y);

  const KernelTable& table_;
  ThreadPool& pool_;
  std::vector<Slot> slots_;
  std::vector<Group> groups_;
  std::vector<Run> runs_;
  std::vector<std::int64_t> starts_;
  GrowingBuffer activations_;
  GrowingBuffer both_;
  GrowingBuffer active_;
  GrowingBuffer results_;
};

}  // namespace bundle::kernels::cpu
