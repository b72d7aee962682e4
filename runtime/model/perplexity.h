// How well a model predicts a text: the measure by which quantized and converted weights are
// compared.
#pragma once

#include <cstdint>
#include <span>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/model/model.h"

namespace bundle::model {

struct PerplexityOptions {
  std::int64_t context = 512;
  std::int32_t bos = -1;  // replaces the first token of every chunk, as llama.cpp does; -1: none
  DType kv_type = DType::kF16;
  std::int64_t step_tokens = 128;  // of one step; changes speed and memory, not the result
};

/// Perplexity as llama.cpp's llama-perplexity defines it: the text is cut into chunks of `context`
/// tokens (a shorter rest is left out), each is run on its own, and exp of the mean negative
/// log-probability is taken over the predictions made from each chunk's second half.
/// kUsage when there is no whole chunk, or the context is under 2.
Result<double> perplexity(Model& model, kernels::Device& device,
                          std::span<const std::int32_t> tokens, const PerplexityOptions& options,
                          const Progress& progress = {});

/// Mean negative log-probability, in nats, of tokens[1:] each given all tokens before it.
/// kUsage for fewer than two tokens.
Result<double> mean_nll(Model& model, kernels::Device& device, std::span<const std::int32_t> tokens,
                        const PerplexityOptions& options);

}  // namespace bundle::model
