// How the sources of this folder put together one instruction set's table.
#pragma once

#include "runtime/kernels/cpu/kernel_table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {

void add_legacy_gemms(KernelTable& table);
void add_k_gemms(KernelTable& table);
void add_float_gemms(KernelTable& table);
void add_fp8_gemm(KernelTable& table);
void add_int8_gemm(KernelTable& table);
void add_rows(KernelTable& table);
void add_attention(KernelTable& table);

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
