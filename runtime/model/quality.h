// How much one model's predictions differ from another's: what quantizing its weights did.
#pragma once

#include <cstdint>
#include <span>

#include "base/progress.h"
#include "base/result.h"
#include "runtime/model/model.h"

namespace bundle::model {

struct QualityOptions {
  std::int64_t context = 512;
  std::int32_t bos = -1;  // replaces the first token of every chunk; -1: none
};

/// Over the predictions made from the second half of each chunk, as for perplexity().
struct Quality {
  std::int64_t predictions = 0;
  double source_perplexity = 0;
  double perplexity = 0;
  /// Of the distributions P of the source and Q: the mean and the largest of Σ P ln(P / Q), in
  /// nats.
  double mean_divergence = 0;
  double largest_divergence = 0;
  double same_top = 0;  // share of predictions whose likeliest token is the same, 0 to 1
};

/// Runs the same text through both, a chunk at a time. kUsage when there is no whole chunk;
/// kBadInput when the vocabularies differ.
Result<Quality> compare_models(Model& source, Model& other, kernels::Device& device,
                               std::span<const std::int32_t> tokens, const QualityOptions& options,
                               const Progress& progress = {});

}  // namespace bundle::model
