// Plans of models whose matrices become 8-bit in their own safetensors: e4m3 with a float for each
// block of 128x128, as DeepSeek-V3 is published, or integers with a float for each row, as
// compressed-tensors writes them.
#pragma once

#include "packager/quantize/planned_file.h"
#include "runtime/format/checkpoint.h"

namespace bundle::packager::quantize {

/// A model of Hugging Face's form that is to be written anew. Its files have their old names.
struct SafetensorsPlan {
  std::vector<PlannedFile> files;
  std::string config;  // of config.json: the old one and how the weights are quantized
  std::string index;   // of model.safetensors.index.json; "" when there is one file
};

/// The matrices of attention and of the feed-forward parts, experts included, become 8-bit (kF8 or
/// kInt8); all else stays as it is published. kUsage for a GGUF, for weights that are quantized
/// already, and for integers of a width that is no multiple of 32.
Result<SafetensorsPlan> plan_safetensors(const format::Checkpoint& checkpoint,
                                         Quantization quantization);

}  // namespace bundle::packager::quantize
