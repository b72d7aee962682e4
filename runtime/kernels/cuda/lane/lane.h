// The thin layer that kernels are written over: what one lane of one warp can name and do. Compiled
// by nvcc it is the GPU's own instructions; compiled as ordinary C++ it calls the emulator, which
// checks every access (emulator/block.h). Kernels include this header and no other of CUDA's.
//
//   thread_index, lane_index, warp_index, block_x, block_y, block_z, grid_x
//   sync_block, sync_warp                    all threads must arrive
//   shuffle_xor, shuffle_from                exchanges of all 32 lanes
//   Global<T>, Shared<T>                     checked memory; load<Pack<…>> for 8 and 16 bytes
//   copy_async, copy_async_where, zero_async, commit_copies, wait_copies
//                                            global to shared, 16 bytes a time
//   f8_brain                                 four 8-bit floats, as pairs of bfloat16
//   f8_pair, bf16_pair                       two 8-bit floats, widened; two floats, rounded
//   times, plus                              of floats, never fused into one rounding
//   mma_bf16                                 tensor-core product of 16 x 8 x 16
//   group_product, begin_products, commit_products, wait_products
//                                            tensor-core products of 64 x 32..256 x 16 by four
//                                            warps, beside the threads (sm_90a alone)
//   load_matrices, load_transposed           what it takes, from shared memory
//   load_if                                  8 or 16 bytes, or none
//   f8_halves, mma_f16                       the same for half precision
//   lower_halves, upper_halves               of two words, as one
//   fresh                                    a value that the compiler knows nothing of
//   wait_for_previous, allow_next            programmatic dependent launch
//   launch, shared_limit                     from the host
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernels/cuda/lane/stream.h"

namespace bundle::kernels::cuda {

/// Lanes of a warp.
inline constexpr int kWarp = 32;

/// N values that move together in one access.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

using Floats2 = Pack<float, 2>;
using Floats4 = Pack<float, 4>;
using Words4 = Pack<std::uint32_t, 4>;
using Words2 = Pack<std::uint32_t, 2>;

/// Operands of group_product lie in shared memory in planes: rows of 64 bfloat16, 128 bytes, whose
/// eight pieces of 16 bytes change places by the row. A plane starts at a multiple of 1024 bytes.
inline constexpr int kPlaneColumns = 64;
inline constexpr int kPlaneRowBytes = 128;
/// Where piece 0 to 7 of a row lies, in pieces.
constexpr int plane_piece(int row, int piece) { return row * 8 + (piece ^ (row & 7)); }

/// How many threads run a kernel: grid blocks of `threads` (a multiple of 32), each with
/// `shared_bytes`. With `overlap`, blocks start while the kernel before ends, and the kernel must
/// call wait_for_previous() before it reads or writes anything but weights.
struct LaunchGrid {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
  unsigned threads = 0;
  std::size_t shared_bytes = 0;
  bool overlap = true;
};

}  // namespace bundle::kernels::cuda

#ifdef __CUDACC__
#include "runtime/kernels/cuda/lane/gpu.h"
#else
#include "runtime/kernels/cuda/lane/emulated.h"
#endif
