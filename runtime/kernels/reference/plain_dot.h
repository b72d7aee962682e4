// The inner product of the reference device.
#pragma once

#include <array>
#include <cstdint>

namespace bundle::kernels::reference {

/// Σ a·b over n elements: sixteen running sums, added up in a fixed tree.
template <typename Real>
Real dot(const Real* a, const Real* b, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  std::array<Real, kLanes> sums{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (std::int64_t k = 0; i < n; ++i, ++k) sums[k] += a[i] * b[i];
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t k = 0; k < width; ++k) sums[k] += sums[k + width];
  }
  return sums[0];
}

}  // namespace bundle::kernels::reference
