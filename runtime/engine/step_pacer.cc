#include "runtime/engine/step_pacer.h"

#include <algorithm>

namespace bundle::engine {
namespace {

constexpr double kGap = 0.1;                  // seconds
constexpr double kStall = 1.0;                // seconds
constexpr double kRate = 0.25;                // weight of the newest observation
constexpr std::int64_t kFewestMeasured = 16;  // prompt tokens; fewer say little about more
constexpr std::int64_t kFirstGuess = 128;     // tokens, before anything was measured
constexpr std::int64_t kFewestInterleaved = 32;
constexpr std::int64_t kFewestAlone = 128;  // matrix products gain little from more

void blend(double& average, double value) {
  average = average == 0.0 ? value : average + kRate * (value - average);
}

}  // namespace

void StepPacer::observe(std::int64_t decodes, std::int64_t prompt_tokens, double seconds) {
  if (prompt_tokens == 0) return blend(decode_seconds_, seconds);
  if (prompt_tokens < kFewestMeasured) return;
  const double rest = decodes > 0 ? std::max(seconds - decode_seconds_, 0.0) : seconds;
  blend(token_seconds_, rest / static_cast<double>(prompt_tokens));
}

std::int64_t StepPacer::interleaved(std::int64_t budget) const {
  return fit(std::max(kGap - decode_seconds_, kGap / 4), kFewestInterleaved, budget);
}

std::int64_t StepPacer::alone(std::int64_t budget) const {
  return fit(kStall, kFewestAlone, budget);
}

std::int64_t StepPacer::fit(double seconds, std::int64_t least, std::int64_t budget) const {
  if (token_seconds_ == 0.0) return std::min(kFirstGuess, budget);
  const double tokens = std::min(seconds / token_seconds_, static_cast<double>(budget));
  return std::clamp(static_cast<std::int64_t>(tokens), std::min(least, budget), budget);
}

}  // namespace bundle::engine
