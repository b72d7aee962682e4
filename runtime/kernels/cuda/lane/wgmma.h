// Tensor-core products of a group of four warps (wgmma, sm_90a alone): one instruction a tile, read
// from shared memory while the threads do something else. See lane.h for what they compute.
#pragma once

#include <cstdint>

namespace bundle::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || \
    (defined(__CUDA_ARCH_SPECIFIC__) && __CUDA_ARCH_SPECIFIC__ == 900)
#define BUNDLE_WGMMA 1
#else
#define BUNDLE_WGMMA 0
#endif

/// Where a plane of rows of 128 bytes starts, in the form that wgmma takes: K-major, 128-byte
/// swizzle, eight rows in 1024 bytes (PTX ISA, "Matrix Descriptor Format").
__device__ __forceinline__ std::uint64_t plane_descriptor(unsigned address) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
  constexpr std::uint64_t kEightRows = std::uint64_t{1024 >> 4} << 32;
  return kSwizzle128 | kEightRows | std::uint64_t{1} << 16 | (address & 0x3FFFFu) >> 4;
}

// Sums i to i + 15 of a lane as operands, and by their numbers in an instruction.
#define BUNDLE_SUMS_4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define BUNDLE_SUMS_16(i) \
  BUNDLE_SUMS_4(i), BUNDLE_SUMS_4((i) + 4), BUNDLE_SUMS_4((i) + 8), BUNDLE_SUMS_4((i) + 12)
#define BUNDLE_SUMS_32(i) BUNDLE_SUMS_16(i), BUNDLE_SUMS_16((i) + 16)
#define BUNDLE_SUMS_64(i) BUNDLE_SUMS_32(i), BUNDLE_SUMS_32((i) + 32)
#define BUNDLE_SUMS_128(i) BUNDLE_SUMS_64(i), BUNDLE_SUMS_64((i) + 64)
#define BUNDLE_NAMES_16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define BUNDLE_NAMES_32 \
  BUNDLE_NAMES_16       \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define BUNDLE_NAMES_64                                                              \
  BUNDLE_NAMES_32                                                                    \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define BUNDLE_NAMES_128                                                                         \
  BUNDLE_NAMES_64                                                                                \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, " \
  "%127"

// The two forms for kN columns: `sums` a lane, and the numbers of the operands behind them.
#define BUNDLE_WGMMA_OF(columns, sums, n0, n1, n2, n3, n4, n5)                                     \
  template <>                                                                                      \
  struct Wgmma<columns> {                                                                          \
    __device__ __forceinline__ static void run(float (&d)[sums], std::uint64_t a, std::uint64_t b, \
                                               int add) {                                          \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #n2                                        \
                   ", 0;\nwgmma.mma_async.sync.aligned.m64n" #columns                              \
                   "k16.f32.bf16.bf16 {" BUNDLE_NAMES_##sums "}, %" #n0 ", %" #n1                  \
                                                             ", p, 1, 1, 0, 0;\n}\n"               \
                   : BUNDLE_SUMS_##sums(0)                                                         \
                   : "l"(a), "l"(b), "r"(add));                                                    \
    }                                                                                              \
    __device__ __forceinline__ static void run(float (&d)[sums], const std::uint32_t (&a)[4],      \
                                               std::uint64_t b, int add) {                         \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #n5                                        \
                   ", 0;\nwgmma.mma_async.sync.aligned.m64n" #columns                              \
                   "k16.f32.bf16.bf16 {" BUNDLE_NAMES_##sums                                       \
                   "}, {%" #n0 ", %" #n1 ", %" #n2 ", %" #n3 "}, %" #n4 ", p, 1, 1, 0;\n}\n"       \
                   : BUNDLE_SUMS_##sums(0)                                                         \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));                \
    }                                                                                              \
  };

/// The instruction for kN columns: sums as group_product has them, a from shared memory or
/// registers.
#if BUNDLE_WGMMA
template <int kN>
struct Wgmma;
BUNDLE_WGMMA_OF(32, 16, 16, 17, 18, 19, 20, 21)
BUNDLE_WGMMA_OF(64, 32, 32, 33, 34, 35, 36, 37)
BUNDLE_WGMMA_OF(128, 64, 64, 65, 66, 67, 68, 69)
BUNDLE_WGMMA_OF(256, 128, 128, 129, 130, 131, 132, 133)
#else
template <int kN>
struct Wgmma {
  template <typename A>
  __device__ static void run(float (&)[kN / 2], const A&, std::uint64_t, int) {}
};
#endif

#undef BUNDLE_WGMMA_OF

}  // namespace bundle::kernels::cuda
