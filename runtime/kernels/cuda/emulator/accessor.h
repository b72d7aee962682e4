// Who touches memory, as far as one access's order against another's is known.
#pragma once

#include <cstdint>

namespace bundle::kernels::cuda::emulator {

inline constexpr int kWarpSize = 32;

struct Accessor {
  std::uint32_t block = 0;
  std::uint32_t thread = 0;      // in its block
  std::uint32_t barriers = 0;    // that its block has passed
  std::uint32_t warp_syncs = 0;  // that its warp has passed
};

/// True when nothing orders the two accesses: other blocks never are, threads of a block by its
/// barriers, threads of a warp by its synchronizations too.
inline bool unordered(const Accessor& a, const Accessor& b) {
  if (a.block != b.block) return true;
  if (a.thread == b.thread || a.barriers != b.barriers) return false;
  return a.thread / kWarpSize != b.thread / kWarpSize || a.warp_syncs == b.warp_syncs;
}

}  // namespace bundle::kernels::cuda::emulator
