// The scales of an 8-bit weight matrix, in the forms that publishers give them.
#pragma once

#include "base/result.h"
#include "runtime/format/checkpoint.h"

namespace bundle::format {

/// What shares a scale.
enum class ScaleForm {
  kNone,    // the type needs none
  kBlocks,  // 128x128 elements: (ceil(rows / 128), ceil(cols / 128))
  kRows,    // a row: (rows, 1) or (rows)
  kMatrix,  // all: one element
};

struct WeightScales {
  ScaleForm form = ScaleForm::kNone;
  const TensorView* tensor = nullptr;  // F32, F16 or BF16
};

/// The scales beside `matrix`, a matrix of F8_E4M3 or I8 that the checkpoint holds; nothing for
/// another type. DeepSeek's blocks are NAME_scale_inv; compressed-tensors, fbgemm and ModelOpt call
/// all forms NAME_scale. Of both, value = element · scale. kBadInput, naming it, for a tensor that
/// is missing or has another type or shape.
Result<WeightScales> weight_scales(const Checkpoint& checkpoint, const TensorView& matrix);

/// kBadInput, naming it, for scales (F32, F16 or BF16) of which one is infinite or no number: all
/// that such a matrix gives would be none. Reads them all.
Status check_finite(const TensorView& scales);

/// The same for all scales of the checkpoint.
Status check_finite_scales(const Checkpoint& checkpoint);

}  // namespace bundle::format
