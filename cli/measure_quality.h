// What quantizing did to a model, measured on a text that comes with the program.
#pragma once

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "runtime/format/source.h"

namespace bundle::cli {

/// {"text":{"sha256","tokens"},"context","predictions","perplexity":{"source","bundle"},
/// "kl_divergence":{"mean","largest"},"same_top_token"}: both models read the text in windows of at
/// most 512 tokens, on all cores. Loads both. kNotFound for a model without a tokenizer.
Result<Json> measure_quality(const format::ModelSource& published,
                             const format::ModelSource& quantized, const Progress& progress);

}  // namespace bundle::cli
