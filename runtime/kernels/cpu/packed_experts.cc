#include "runtime/kernels/cpu/packed_experts.h"

#include <algorithm>

namespace bundle::kernels::cpu {
namespace {

/// Same rows, columns and types, part by part.
bool alike(const PackedMatrix& a, const PackedMatrix& b) {
  return a.cols() == b.cols() &&
         std::ranges::equal(a.parts(), b.parts(), [](const PackedPart& x, const PackedPart& y) {
           return x.rows == y.rows && x.layout.type == y.layout.type;
         });
}

}  // namespace

Result<std::unique_ptr<PackedExperts>> PackedExperts::pack(std::span<const ExpertView> experts,
                                                           HugeAllocator& allocator,
                                                           ThreadPool& pool) {
  if (experts.empty()) return bad_input("a layer of no experts");
  auto packed = std::make_unique<PackedExperts>();
  for (const ExpertView& expert : experts) {
    const WeightView gate_up[] = {expert.gate, expert.up};
    BUNDLE_TRY(auto first, PackedMatrix::pack(gate_up, allocator, pool));
    BUNDLE_TRY(auto second, PackedMatrix::pack({&expert.down, 1}, allocator, pool));
    if (expert.gate.rows != expert.up.rows || second->cols() != expert.up.rows ||
        second->rows() != first->cols())
      return bad_input("an expert's matrices do not fit each other");
    packed->gate_up_.push_back(std::move(first));
    packed->down_.push_back(std::move(second));
    if (!alike(*packed->gate_up_.front(), *packed->gate_up_.back()) ||
        !alike(*packed->down_.front(), *packed->down_.back()))
      return bad_input("the experts of a layer differ in shape or type");
  }
  return packed;
}

std::size_t PackedExperts::resident_bytes() const {
  std::size_t bytes = 0;
  for (std::int64_t e = 0; e < count(); ++e)
    bytes += gate_up(e).resident_bytes() + down(e).resident_bytes();
  return bytes;
}

}  // namespace bundle::kernels::cpu
