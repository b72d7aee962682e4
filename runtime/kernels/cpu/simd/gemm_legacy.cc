// Types with one scale a block of 32.
#include "runtime/kernels/cpu/simd/gemm_quant.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

void add_legacy_gemms(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kQ4_0)] = gemm<QuantKernel<DType::kQ4_0>>;
  table.gemm[static_cast<int>(DType::kQ4_1)] = gemm<QuantKernel<DType::kQ4_1>>;
  table.gemm[static_cast<int>(DType::kQ5_0)] = gemm<QuantKernel<DType::kQ5_0>>;
  table.gemm[static_cast<int>(DType::kQ5_1)] = gemm<QuantKernel<DType::kQ5_1>>;
  table.gemm[static_cast<int>(DType::kQ8_0)] = gemm<QuantKernel<DType::kQ8_0>>;
  table.gemm[static_cast<int>(DType::kIQ4NL)] = gemm<QuantKernel<DType::kIQ4NL>>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
