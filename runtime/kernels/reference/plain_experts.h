// Experts of the reference device.
#pragma once

#include <span>
#include <vector>

#include "runtime/kernels/reference/plain_matrix.h"

namespace bundle::kernels::reference {

/// Refers to the published bytes.
class PlainExperts final : public Experts {
 public:
  /// kBadInput as PlainMatrix::make, and where experts differ in shape.
  static Result<PlainExperts> make(std::span<const ExpertView> experts);

  std::int64_t count() const override { return static_cast<std::int64_t>(experts_.size()); }
  bool uses_source() const override { return true; }
  std::size_t resident_bytes() const override { return 0; }

  /// Device::run_experts, row by row.
  void run(Tensor x, Routing routing, Tensor y) const;

 private:
  struct Expert {
    PlainMatrix gate_up;
    PlainMatrix down;
  };

  std::vector<Expert> experts_;
};

/// out (n, m) = silu(gate) · up of gate_up (n, 2 m).
void silu_mul(Tensor gate_up, Tensor out);

}  // namespace bundle::kernels::reference
