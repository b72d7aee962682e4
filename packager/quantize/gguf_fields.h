// What llama.cpp's converters write into a GGUF's metadata for a model of Hugging Face's form, from
// its configuration.
#pragma once

#include "packager/quantize/gguf_bytes.h"
#include "runtime/format/model_config.h"

namespace bundle::packager::quantize {

/// GGUF's name of the architecture, "llama" for Mistral too.
std::string gguf_architecture(const format::ModelConfig& config);

/// Adds everything but the tokenizer. kUsage, naming it, for a setting that GGUF has no room for.
Status add_model_fields(const format::ModelConfig& config, GgufEntries& entries);

/// By how much Llama 3's long-context scaling slows each frequency, (head_dim / 2); empty for
/// other scalings. GGUF carries them as the tensor rope_freqs.weight.
std::vector<float> rope_factors(const format::ModelConfig& config);

}  // namespace bundle::packager::quantize
