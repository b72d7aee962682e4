#include "runtime/kernels/cpu/simd/table.h"

#include "runtime/kernels/cpu/simd/vec.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

const KernelTable& kernel_table() {
  static const KernelTable table = [] {
    KernelTable t = {};
    add_legacy_gemms(t);
    add_k_gemms(t);
    add_float_gemms(t);
    add_fp8_gemm(t);
    add_int8_gemm(t);
    add_rows(t);
    add_attention(t);
    return t;
  }();
  return table;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
