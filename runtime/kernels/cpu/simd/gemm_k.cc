// Types with super-blocks of 256.
#include "runtime/kernels/cpu/simd/gemm_quant.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

void add_k_gemms(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kQ2K)] = gemm<QuantKernel<DType::kQ2K>>;
  table.gemm[static_cast<int>(DType::kQ3K)] = gemm<QuantKernel<DType::kQ3K>>;
  table.gemm[static_cast<int>(DType::kQ4K)] = gemm<QuantKernel<DType::kQ4K>>;
  table.gemm[static_cast<int>(DType::kQ5K)] = gemm<QuantKernel<DType::kQ5K>>;
  table.gemm[static_cast<int>(DType::kQ6K)] = gemm<QuantKernel<DType::kQ6K>>;
  table.gemm[static_cast<int>(DType::kIQ4XS)] = gemm<QuantKernel<DType::kIQ4XS>>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
