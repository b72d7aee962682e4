// Plans of FP8 models as DeepSeek-V3 is published: safetensors whose matrices are e4m3 with a float
// for each block of 128x128.
#pragma once

#include "packager/quantize/planned_file.h"
#include "runtime/format/checkpoint.h"

namespace bundle::packager::quantize {

/// A model of Hugging Face's form that is to be written anew. Its files have their old names.
struct F8Plan {
  std::vector<PlannedFile> files;
  std::string config;  // of config.json: the old one and how the weights are quantized
  std::string index;   // of model.safetensors.index.json; "" when there is one file
};

/// The matrices of attention and of the feed-forward parts, experts included, become FP8; all else
/// stays as it is published. kUsage for a GGUF and for weights that are quantized already.
Result<F8Plan> plan_f8(const format::Checkpoint& checkpoint);

}  // namespace bundle::packager::quantize
