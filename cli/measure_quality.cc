#include "cli/measure_quality.h"

#include <algorithm>
#include <cmath>

#include "base/sha256.h"
#include "cli/quality_text.h"
#include "runtime/format/checkpoint.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/model/quality.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bundle::cli {
namespace {

constexpr std::int64_t kContext = 512;

/// Six decimals: what follows is the machine's rounding.
double rounded(double value) { return std::round(value * 1e6) / 1e6; }

Json report_of(const model::Quality& quality, std::int64_t context, std::size_t tokens) {
  return JsonObject{
      {"text", JsonObject{{"sha256", sha256_hex(quality_text())}, {"tokens", tokens}}},
      {"context", context},
      {"predictions", quality.predictions},
      {"perplexity", JsonObject{{"source", rounded(quality.source_perplexity)},
                                {"bundle", rounded(quality.perplexity)}}},
      {"kl_divergence", JsonObject{{"mean", rounded(quality.mean_divergence)},
                                   {"largest", rounded(quality.largest_divergence)}}},
      {"same_top_token", rounded(quality.same_top)}};
}

}  // namespace

Result<Json> measure_quality(const format::ModelSource& published,
                             const format::ModelSource& quantized, const Progress& progress) {
  BUNDLE_TRY(const auto source, format::Checkpoint::open(published));
  BUNDLE_TRY(const auto other, format::Checkpoint::open(quantized));
  BUNDLE_TRY(const auto tokenizer, tokenizer::load_tokenizer(source));
  const auto tokens = tokenizer->encode(quality_text(), {.add_special = false});
  BUNDLE_TRY(const auto device, kernels::make_cpu_device({.threads = 0, .isa = {}}));
  BUNDLE_TRY(const auto first, model::load_model(source, *device, progress));
  BUNDLE_TRY(const auto second, model::load_model(other, *device, progress));
  const std::int64_t context = std::min(kContext, first->config().max_positions);
  const model::QualityOptions options{context, tokenizer->bos_id().value_or(-1)};
  BUNDLE_TRY(const model::Quality quality,
             model::compare_models(*first, *second, *device, tokens, options, progress));
  return report_of(quality, context, tokens.size());
}

}  // namespace bundle::cli
