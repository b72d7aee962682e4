#include <cmath>

#include "runtime/engine/sampler.h"

namespace bundle::engine {
namespace {

std::optional<std::string> check_ranges(const SamplingParams& p) {
  if (!(p.temperature >= 0.0) || !std::isfinite(p.temperature)) {
    return "temperature must be 0 or more";
  }
  if (p.top_k < 0) return "top_k must be 0 or more";
  if (!(p.top_p >= 0.0 && p.top_p <= 1.0)) return "top_p must lie between 0 and 1";
  if (!(p.min_p >= 0.0 && p.min_p <= 1.0)) return "min_p must lie between 0 and 1";
  if (!(p.repetition_penalty > 0.0) || !std::isfinite(p.repetition_penalty)) {
    return "repetition_penalty must be more than 0";
  }
  if (!std::isfinite(p.frequency_penalty)) return "frequency_penalty must be finite";
  if (!std::isfinite(p.presence_penalty)) return "presence_penalty must be finite";
  if (p.max_tokens < 0) return "max_tokens must be 0 or more";
  if (p.min_tokens < 0) return "min_tokens must be 0 or more";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> check_sampling(const SamplingParams& params, std::int64_t vocab_size) {
  if (auto wrong = check_ranges(params)) return wrong;
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return "logit_bias names token " + std::to_string(id) + ", which the vocabulary lacks";
    }
    if (!std::isfinite(bias)) return "logit_bias must be finite";
  }
  return std::nullopt;
}

}  // namespace bundle::engine
