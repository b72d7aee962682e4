// Which quantized weights of Hugging Face checkpoints can be served.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace bundle::format {

/// What config.json's `quantization_config` says about the weights. Served are FP8 (e4m3) in blocks
/// of 128x128, by row or by matrix ("fp8", "fbgemm_fp8", ModelOpt's "FP8", compressed-tensors) and
/// INT8 by row or by matrix without zero points (compressed-tensors). How the publisher rounds
/// activations does not matter: here they keep more bits. Gives whether the weights are FP8 in
/// blocks; kBadInput, naming the method, for any other.
Result<bool> read_quantization(const Json& quantization);

}  // namespace bundle::format
