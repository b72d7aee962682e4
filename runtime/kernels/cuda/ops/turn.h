// The sine and cosine of a position's rotation.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

struct Turn {
  float sine;
  float cosine;
};

/// Sine and cosine to float's precision for angles up to a million: reduced by multiples of π/2 in
/// three parts (Cody and Waite), then polynomials on [-π/4, π/4] (Cephes).
BUNDLE_DEVICE Turn turn_of(float angle) {
  const float k = round_even(angle * 0.636619772f);
  float r = fused(-k, 1.57079601287841797f, angle);
  r = fused(-k, 3.13916473260178464e-7f, r);
  r = fused(-k, 5.39030252995776477e-15f, r);
  const float z = r * r;
  const float s =
      fused(fused(fused(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f), z * r, r);
  const float c = fused(
      fused(fused(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f),
      z * z, fused(-0.5f, z, 1.0f));
  const int quadrant = static_cast<int>(k) & 3;
  const bool swapped = (quadrant & 1) != 0;
  const float sine = swapped ? c : s;
  const float cosine = swapped ? s : c;
  return {(quadrant & 2) != 0 ? -sine : sine, ((quadrant + 1) & 2) != 0 ? -cosine : cosine};
}

}  // namespace bundle::kernels::cuda
