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

struct F32Kernel {
  template <int T>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[T]) {
    const auto* weights = reinterpret_cast<const float*>(block) + lane;
    const auto* x = reinterpret_cast<const float*>(activations);
    for (std::int64_t c = 0; c < args.layout->cols; ++c, weights += kPackRows, x += T)
      add_column<T>(load(weights), x, sums);
  }
};

struct F16Kernel {
  template <int T>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[T]) {
    const std::byte* weights = block + lane * 2;
    const auto* x = reinterpret_cast<const float*>(activations);
    for (std::int64_t c = 0; c < args.layout->cols; ++c, weights += 2 * kPackRows, x += T)
      add_column<T>(load_half(weights), x, sums);
  }
};

struct Bf16Kernel {
  template <int T>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[T]) {
    const std::byte* weights = block + lane * 4;
    const auto* x = reinterpret_cast<const float*>(activations);
    const std::int64_t pairs = args.layout->cols / 2;
    const I32 upper = set_int(static_cast<std::int32_t>(0xFFFF0000u));
    for (std::int64_t p = 0; p < pairs; ++p, weights += 4 * kPackRows, x += 2 * T) {
      const I32 word = load_bytes(weights);
      add_column<T>(as_float(shift_left<16>(word)), x, sums);
      add_column<T>(as_float(and_int(word, upper)), x + T, sums);
    }
    if (args.layout->cols % 2 != 0)
      add_column<T>(as_float(shift_left<16>(load_bytes(weights))), x, sums);
  }
};

}  // namespace

void add_float_gemms(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kF32)] = gemm<F32Kernel>;
  table.gemm[static_cast<int>(DType::kF16)] = gemm<F16Kernel>;
  table.gemm[static_cast<int>(DType::kBF16)] = gemm<Bf16Kernel>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
