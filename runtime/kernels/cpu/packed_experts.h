// The experts of one layer in the packed layout.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/kernels/cpu/packed_matrix.h"

namespace bundle::kernels::cpu {

/// Immutable. Thread-safe. All experts have the same shapes and types.
class PackedExperts final : public Experts {
 public:
  /// kBadInput as PackedMatrix::pack, where an expert's matrices do not fit each other, and where
  /// experts differ.
  static Result<std::unique_ptr<PackedExperts>> pack(std::span<const ExpertView> experts,
                                                     HugeAllocator& allocator, ThreadPool& pool);

  std::int64_t count() const override { return static_cast<std::int64_t>(gate_up_.size()); }
  bool uses_source() const override { return false; }
  std::size_t resident_bytes() const override;

  const PackedMatrix& gate_up(std::int64_t expert) const { return *gate_up_[expert]; }
  const PackedMatrix& down(std::int64_t expert) const { return *down_[expert]; }
  /// Width of an expert: columns of down.
  std::int64_t width() const { return down_.front()->cols(); }

 private:
  std::vector<std::unique_ptr<PackedMatrix>> gate_up_;  // (2 width, hidden), gate first
  std::vector<std::unique_ptr<PackedMatrix>> down_;     // (hidden, width)
};

}  // namespace bundle::kernels::cpu
