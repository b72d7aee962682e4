// bfloat16 weights with bfloat16 activations: two products an instruction and lane. The
// instruction takes subnormal inputs as zero and rounds to nearest.
#include "runtime/kernels/cpu/simd/gemm.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

struct Bf16DotKernel {
  static constexpr int vectors(int /*tokens*/) { return 1; }

  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const std::byte* weights = block + lane * 4;
    const auto* x = reinterpret_cast<const std::int32_t*>(activations);
    const std::int64_t pairs = (args.layout->cols + 1) / 2;
    for (std::int64_t p = 0; p < pairs; ++p, weights += 4 * kPackRows, x += T) {
      const I32 word = load_bytes(weights);
      BUNDLE_UNROLL
      for (int t = 0; t < T; ++t)
        asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sums[0][t]) : "v"(word), "m"(x[t]));
    }
  }
};

}  // namespace

const KernelTable& kernel_table() {
  static const KernelTable table = [] {
    KernelTable t = avx512::kernel_table();
    t.bf16_dot = true;
    t.gemm[static_cast<int>(DType::kBF16)] = gemm<Bf16DotKernel>;
    return t;
  }();
  return table;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
