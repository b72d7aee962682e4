// Sums and maxima over the lanes of a warp, in a fixed order.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"

namespace bundle::kernels::cuda {

/// Of `kLanes` neighbouring lanes (a power of two); every lane gets it.
template <int kLanes = kWarp, typename T>
BUNDLE_DEVICE T sum_lanes(T value) {
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

/// One step of sum_each and those after it. The recursion, where a loop would do, keeps indices
/// constant: nvcc gives up on unrolling a loop in a loop of another length, and puts 16 sums into
/// local memory.
template <int kHalf, int kMask, int N>
BUNDLE_DEVICE void sum_each_from(float (&values)[N]) {
  if constexpr (kHalf == 0) {
    values[0] += shuffle_xor(values[0], kMask);
  } else {
    const bool upper = (lane_index() & kMask) != 0;
    BUNDLE_UNROLL
    for (int i = 0; i < kHalf; ++i) {
      const float kept = upper ? values[i + kHalf] : values[i];
      const float given = upper ? values[i] : values[i + kHalf];
      values[i] = kept + shuffle_xor(given, kMask);
    }
  }
  if constexpr (kMask > 1) sum_each_from<kHalf / 2, kMask / 2>(values);
}

/// Sums of N values each over the warp, N a power of two: lane l gets that of value l / (32 / N). A
/// lane gives away half of what it has at each step, so that N sums cost little more than one, and
/// each is summed in the order of sum_lanes.
template <int N>
BUNDLE_DEVICE float sum_each(float (&values)[N]) {
  sum_each_from<N / 2, kWarp / 2>(values);
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

/// The same for the largest.
BUNDLE_DEVICE float max_block(float value, Shared<float> room) {
  value = max_lanes(value);
  if (lane_index() == 0) room.put(warp_index(), value);
  sync_block();
  for (int warp = 0; warp < block_threads() / kWarp; ++warp) value = largest(value, room[warp]);
  return value;
}

}  // namespace bundle::kernels::cuda
