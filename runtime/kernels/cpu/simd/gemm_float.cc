// Float weights, widened to float32, with float32 activations.
#include "runtime/kernels/cpu/simd/gemm.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

template <int T>
BUNDLE_INLINE void add_column(F32 weights, const float* x, F32 (&sums)[T]) {
  BUNDLE_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = fma(weights, set(x[t]), sums[t]);
}

/// A sum waits for the one before it: few tokens take all sixteen rows at once, for more sums that
/// do not wait for each other, and a cache line is then read in one go.
struct FloatKernel {
  static constexpr int vectors(int tokens) { return tokens <= 4 ? kPackRows / kLanes : 1; }
};

struct F32Kernel : FloatKernel {
  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const auto* weights = reinterpret_cast<const float*>(block) + lane;
    const auto* x = reinterpret_cast<const float*>(activations);
    for (std::int64_t c = 0; c < args.layout->cols; ++c, weights += kPackRows, x += T) {
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) add_column<T>(load(weights + v * kLanes), x, sums[v]);
    }
  }
};

struct F16Kernel : FloatKernel {
  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const std::byte* weights = block + lane * 2;
    const auto* x = reinterpret_cast<const float*>(activations);
    for (std::int64_t c = 0; c < args.layout->cols; ++c, weights += 2 * kPackRows, x += T) {
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) add_column<T>(load_half(weights + 2 * v * kLanes), x, sums[v]);
    }
  }
};

struct Bf16Kernel : FloatKernel {
  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const std::byte* weights = block + lane * 4;
    const auto* x = reinterpret_cast<const float*>(activations);
    const std::int64_t pairs = args.layout->cols / 2;
    const I32 upper = set_int(static_cast<std::int32_t>(0xFFFF0000u));
    for (std::int64_t p = 0; p < pairs; ++p, weights += 4 * kPackRows, x += 2 * T) {
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v) {
        const I32 word = load_bytes(weights + 4 * v * kLanes);
        add_column<T>(as_float(shift_left<16>(word)), x, sums[v]);
        add_column<T>(as_float(and_int(word, upper)), x + T, sums[v]);
      }
    }
    if (args.layout->cols % 2 == 0) return;
    BUNDLE_UNROLL
    for (int v = 0; v < V; ++v)
      add_column<T>(as_float(shift_left<16>(load_bytes(weights + 4 * v * kLanes))), x, sums[v]);
  }
};

}  // namespace

void add_float_gemms(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kF32)] = gemm<F32Kernel>;
  table.gemm[static_cast<int>(DType::kF16)] = gemm<F16Kernel>;
  table.gemm[static_cast<int>(DType::kBF16)] = gemm<Bf16Kernel>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
