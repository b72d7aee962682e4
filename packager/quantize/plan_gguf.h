// Plans of quantized GGUF files: from a GGUF of floats, and from a model of Hugging Face's form.
#pragma once

#include "packager/quantize/planned_file.h"
#include "runtime/format/model_config.h"

namespace bundle::packager::quantize {

/// One file, "NAME.gguf", its tensors sorted by name. Matrices become Q8_0, Q4_0 or Q4_K; where a
/// row does not fill Q4_K's blocks of 256 Q5_0 (as llama.cpp does), and BF16 where it fills none of
/// 32. The embedding and the output matrix are Q8_0 beside 4-bit weights. Vectors, routers and
/// small tables stay F32. Refused: weights that are quantized already, and a tensor that GGUF has
/// no name for.
///
/// From Hugging Face's form the file holds all of the model but the tokenizer, which stays beside
/// it as tokenizer.json.
Result<PlannedFile> plan_gguf(const format::Checkpoint& checkpoint,
                              const format::ModelConfig& config, Quantization quantization);

}  // namespace bundle::packager::quantize
