// The thin layer as CUDA's own functions. See lane.h.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#include <type_traits>

#include "runtime/kernels/cuda/lane/wgmma.h"

#define BUNDLE_DEVICE __device__ __forceinline__
#define BUNDLE_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define BUNDLE_UNROLL _Pragma("unroll")

namespace bundle::kernels::cuda {

BUNDLE_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
BUNDLE_DEVICE int lane_index() { return thread_index() % kWarp; }
BUNDLE_DEVICE int warp_index() { return thread_index() / kWarp; }
BUNDLE_DEVICE int block_threads() { return static_cast<int>(blockDim.x); }
BUNDLE_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
BUNDLE_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
BUNDLE_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
BUNDLE_DEVICE int grid_x() { return static_cast<int>(gridDim.x); }

BUNDLE_DEVICE void sync_block() { __syncthreads(); }
BUNDLE_DEVICE void sync_warp() { __syncwarp(); }

template <typename T>
BUNDLE_DEVICE T shuffle_from(T value, int lane) {
  return __shfl_sync(0xFFFFFFFFu, value, lane);
}
template <typename T>
BUNDLE_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}

BUNDLE_DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
BUNDLE_DEVICE void allow_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

template <int kBytes>
struct Word {
  static_assert(kBytes == 16, "accesses are of 1, 2, 4, 8 or 16 bytes");
  using Type = uint4;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<4> {
  using Type = unsigned;
};
template <>
struct Word<2> {
  using Type = unsigned short;
};
template <>
struct Word<1> {
  using Type = unsigned char;
};

template <typename To, typename From>
BUNDLE_DEVICE To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &value, sizeof(To));
  return to;
}

template <typename T>
class Global {
 public:
  BUNDLE_DEVICE explicit Global(T* start) : start_(start) {}
  BUNDLE_DEVICE explicit operator bool() const { return start_ != nullptr; }

  BUNDLE_DEVICE std::remove_const_t<T> operator[](std::int64_t i) const { return start_[i]; }
  BUNDLE_DEVICE std::remove_const_t<T> get(std::int64_t i) const { return start_[i]; }
  BUNDLE_DEVICE void put(std::int64_t i, T value) const { start_[i] = value; }
  template <typename V>
  BUNDLE_DEVICE V load(std::int64_t i) const {
    using W = typename Word<sizeof(V)>::Type;
    return bits_as<V>(*reinterpret_cast<const W*>(start_ + i));
  }
  template <typename V>
  BUNDLE_DEVICE V stream(std::int64_t i) const {
    using W = typename Word<sizeof(V)>::Type;
    return bits_as<V>(__ldcs(reinterpret_cast<const W*>(start_ + i)));
  }
  template <typename V>
  BUNDLE_DEVICE void store(std::int64_t i, const V& value) const {
    using W = typename Word<sizeof(V)>::Type;
    *reinterpret_cast<W*>(start_ + i) = bits_as<W>(value);
  }
  BUNDLE_DEVICE T* at(std::int64_t i) const { return start_ + i; }

 private:
  T* __restrict__ start_;
};

extern __shared__ __align__(1024) unsigned char block_shared[];

template <typename T>
class Shared {
 public:
  BUNDLE_DEVICE explicit Shared(std::size_t offset)
      : start_(reinterpret_cast<T*>(block_shared + offset)) {}

  BUNDLE_DEVICE T operator[](std::int64_t i) const { return start_[i]; }
  BUNDLE_DEVICE void put(std::int64_t i, T value) const { start_[i] = value; }
  template <typename V>
  BUNDLE_DEVICE V load(std::int64_t i) const {
    using W = typename Word<sizeof(V)>::Type;
    return bits_as<V>(*reinterpret_cast<const W*>(start_ + i));
  }
  template <typename V>
  BUNDLE_DEVICE void store(std::int64_t i, const V& value) const {
    using W = typename Word<sizeof(V)>::Type;
    *reinterpret_cast<W*>(start_ + i) = bits_as<W>(value);
  }
  BUNDLE_DEVICE T* at(std::int64_t i) const { return start_ + i; }

 private:
  T* start_;
};

template <typename T, typename U>
BUNDLE_DEVICE void copy_async(Shared<T> to, std::int64_t i, Global<const U> from, std::int64_t j) {
  const auto target = static_cast<unsigned>(__cvta_generic_to_shared(to.at(i)));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(from.at(j))
               : "memory");
}
/// 16 bytes of zeros, as one of the copies under way. `any` is a place in device memory.
template <typename T, typename U>
BUNDLE_DEVICE void zero_async(Shared<T> to, std::int64_t i, Global<const U> any) {
  const auto target = static_cast<unsigned>(__cvta_generic_to_shared(to.at(i)));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, 0;" ::"r"(target), "l"(any.at(0))
               : "memory");
}
/// 16 bytes, or zeros where they are not `there`; then `from` is not read.
template <typename T, typename U>
BUNDLE_DEVICE void copy_async_where(Shared<T> to, std::int64_t i, Global<const U> from,
                                    std::int64_t j, bool there) {
  const auto target = static_cast<unsigned>(__cvta_generic_to_shared(to.at(i)));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from.at(j)),
               "r"(there ? 16 : 0)
               : "memory");
}
BUNDLE_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
BUNDLE_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

BUNDLE_DEVICE float half_float(std::uint16_t bits) { return __half2float(bits_as<__half>(bits)); }
BUNDLE_DEVICE float bf16_float(std::uint16_t bits) {
  return bits_as<float>(static_cast<std::uint32_t>(bits) << 16);
}
BUNDLE_DEVICE std::uint16_t float_half(float value) {
  return bits_as<std::uint16_t>(__float2half_rn(value));
}
BUNDLE_DEVICE std::uint16_t float_bf16(float value) {
  return bits_as<std::uint16_t>(__float2bfloat16_rn(value));
}
BUNDLE_DEVICE std::uint32_t bf16_pair(float low, float high) {
  return bits_as<std::uint32_t>(__floats2bfloat162_rn(low, high));
}
/// Four 8-bit floats as pairs of bfloat16, by their bits: sign and the other seven move to where
/// bfloat16 has them, and a product with 2^120 makes up for the exponents' different offsets. (The
/// conversion instructions are many times slower.) Not for NaN.
BUNDLE_DEVICE Words2 f8_brain(std::uint32_t word) {
  Words2 out;
  BUNDLE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t bytes = __byte_perm(word, 0, i == 0 ? 0x1404 : 0x3424);
    const std::uint32_t moved = (bytes & 0x80008000u) | ((bytes >> 4) & 0x07F007F0u);
    const __nv_bfloat162 scale = bits_as<__nv_bfloat162>(0x7B807B80u);
    out.v[i] = bits_as<std::uint32_t>(__hmul2(bits_as<__nv_bfloat162>(moved), scale));
  }
  return out;
}
BUNDLE_DEVICE Floats2 f8_pair(std::uint16_t bits) {
  const __half2 both = __nv_cvt_fp8x2_to_halfraw2(bits, __NV_E4M3);
  return {__low2float(both), __high2float(both)};
}
BUNDLE_DEVICE float exp_fast(float x) { return __expf(x); }
BUNDLE_DEVICE float log_fast(float x) { return __logf(x); }
BUNDLE_DEVICE float rsqrt_fast(float x) { return rsqrtf(x); }
BUNDLE_DEVICE float divide_fast(float a, float b) { return __fdividef(a, b); }
BUNDLE_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
BUNDLE_DEVICE float times(float a, float b) { return __fmul_rn(a, b); }
BUNDLE_DEVICE float plus(float a, float b) { return __fadd_rn(a, b); }
BUNDLE_DEVICE float round_even(float x) { return rintf(x); }
BUNDLE_DEVICE float largest(float a, float b) { return a > b ? a : b; }
BUNDLE_DEVICE float smallest(float a, float b) { return a < b ? a : b; }

BUNDLE_DEVICE void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                            const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

BUNDLE_DEVICE void begin_products() {
#if BUNDLE_WGMMA
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
BUNDLE_DEVICE void commit_products() {
#if BUNDLE_WGMMA
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int kPending>
BUNDLE_DEVICE void wait_products() {
#if BUNDLE_WGMMA
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#endif
}
BUNDLE_DEVICE std::uint64_t step_descriptor(Shared<std::uint32_t> plane, int step) {
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(plane.at(0)));
  return plane_descriptor(address + static_cast<unsigned>(step) * 32);
}
template <int kN>
BUNDLE_DEVICE void group_product(float (&sums)[kN / 2], Shared<std::uint32_t> a,
                                 Shared<std::uint32_t> b, int step, bool add) {
  Wgmma<kN>::run(sums, step_descriptor(a, step), step_descriptor(b, step), add ? 1 : 0);
}
template <int kN>
BUNDLE_DEVICE void group_product(float (&sums)[kN / 2], const std::uint32_t (&a)[4],
                                 Shared<std::uint32_t> b, int step, bool add) {
  Wgmma<kN>::run(sums, a, step_descriptor(b, step), add ? 1 : 0);
}

template <typename T>
BUNDLE_DEVICE void load_matrices(std::uint32_t (&to)[4], Shared<T> from, std::int64_t i) {
  const auto start = static_cast<unsigned>(__cvta_generic_to_shared(from.at(i)));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(start)
               : "memory");
}

template <typename T>
BUNDLE_DEVICE void load_transposed(std::uint32_t (&to)[4], Shared<T> from, std::int64_t i) {
  const auto start = static_cast<unsigned>(__cvta_generic_to_shared(from.at(i)));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(start)
               : "memory");
}

/// Shared memory that a block may have on the current device.
inline std::size_t shared_limit() {
  static const int bytes = [] {
    int device = 0;
    int most = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return most;
  }();
  return static_cast<std::size_t>(bytes);
}

template <typename Args>
void launch(Stream stream, const char*, void (*kernel)(Args), const LaunchGrid& grid,
            const Args& args) {
  // Above 48 KiB a kernel must be told once; telling it again costs a lookup. As many blocks as fit
  // shall share a multiprocessor, so all of its memory is to be shared memory then.
  if (grid.shared_bytes > 48 * 1024) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(grid.shared_bytes));
    cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                         cudaSharedmemCarveoutMaxShared);
  }
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(grid.x, grid.y, grid.z);
  config.blockDim = dim3(grid.threads);
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = &overlap;
  config.numAttrs = grid.overlap ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, args);
}

BUNDLE_DEVICE std::uint32_t f8_halves(std::uint16_t bits) {
  return bits_as<std::uint32_t>(__nv_cvt_fp8x2_to_halfraw2(bits, __NV_E4M3));
}

BUNDLE_DEVICE void mma_f16(float (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// In assembly, as the compiler loads into other registers and moves, and waits where it moves.
template <typename T>
BUNDLE_DEVICE void load_if(bool there, Global<const T> from, std::int64_t i, Words4& to) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %5, 0;\n@p ld.global.v4.b32 {%0,%1,%2,%3}, [%4];\n}\n"
      : "+r"(to.v[0]), "+r"(to.v[1]), "+r"(to.v[2]), "+r"(to.v[3])
      : "l"(from.at(i)), "r"(static_cast<int>(there)));
}
template <typename T>
BUNDLE_DEVICE void load_if(bool there, Global<const T> from, std::int64_t i, Words2& to) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %3, 0;\n@p ld.global.v2.b32 {%0,%1}, [%2];\n}\n"
               : "+r"(to.v[0]), "+r"(to.v[1])
               : "l"(from.at(i)), "r"(static_cast<int>(there)));
}

BUNDLE_DEVICE int fresh(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

// One instruction each, where the compiler would take two for masks and shifts.
BUNDLE_DEVICE std::uint32_t lower_halves(std::uint32_t a, std::uint32_t b) {
  return __byte_perm(a, b, 0x5410);
}
BUNDLE_DEVICE std::uint32_t upper_halves(std::uint32_t a, std::uint32_t b) {
  return __byte_perm(a, b, 0x7632);
}

}  // namespace bundle::kernels::cuda
