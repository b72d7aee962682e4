// Which element types models are made of: one list for those who check checkpoints and for kernels.
#pragma once

#include "base/dtype.h"

namespace bundle {

/// Whether elements are numbers by themselves that every backend reads: not integers, which count
/// only with scales, nor F64 and F8_E5M2.
inline bool is_number(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || is_quantized(type);
}

/// Whether every backend multiplies matrices of the type.
inline bool is_weight(DType type) { return is_number(type) || needs_scales(type); }

}  // namespace bundle
