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

/// Sums of N values each over the warp, N a power of two: lane l gets that of value l / (32 / N). A
/// lane gives away half of what it has at each step, so that N sums cost little more than one, and
/// each is summed in the order of sum_lanes.
template <int N>
BUNDLE_DEVICE float sum_each(float (&values)[N]) {
  BUNDLE_UNROLL
  for (int step = 0; step < 5; ++step) {
    const int mask = kWarp / 2 >> step;
    const int half = N >> (step + 1);
    if (half == 0) {
      values[0] += shuffle_xor(values[0], mask);
      continue;
    }
    const bool upper = (lane_index() & mask) != 0;
    BUNDLE_UNROLL
    for (int i = 0; i < half; ++i) {
      const float kept = upper ? values[i + half] : values[i];
      const float given = upper ? values[i] : values[i + half];
      values[i] = kept + shuffle_xor(given, mask);
    }
  }
  return values[0];
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
