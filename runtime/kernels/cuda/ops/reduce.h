// Sums and maxima over the lanes of a warp, in a fixed order.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

/// Of `kLanes` neighbouring lanes (a power of two); every lane gets it.
template <int kLanes = kWarp>
BUNDLE_DEVICE float sum_lanes(float value) {
  BUNDLE_UNROLL
  for (int mask = kLanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

template <int kLanes = kWarp>
BUNDLE_DEVICE float max_lanes(float value) {
  BUNDLE_UNROLL
  for (int mask = kLanes / 2; mask > 0; mask /= 2) value = largest(value, shuffle_xor(value, mask));
  return value;
}

/// Of the whole block; `room` has a float a warp. All threads must call it; room may be used again
/// after the next barrier.
BUNDLE_DEVICE float sum_block(float value, Shared<float> room) {
  value = sum_lanes(value);
  if (lane_index() == 0) room.put(warp_index(), value);
  sync_block();
  float sum = 0.0f;
  for (int warp = 0; warp < block_threads() / kWarp; ++warp) sum += room[warp];
  return sum;
}

}  // namespace bundle::kernels::cuda
