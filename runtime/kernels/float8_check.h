// NaN among 8-bit floats (e4m3). The CPU's kernels widen a code by shifting bits and would take the
// one of NaN for 480, so every device refuses a matrix that holds one where it packs it: it reads
// all bytes then anyway. In wider types NaN stays what it is and shows in the logits.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace bundle::kernels {

/// Whether one of the codes is NaN.
bool holds_nan(Bytes codes);

/// What a matrix of such codes is refused with.
Error nan_error();

}  // namespace bundle::kernels
