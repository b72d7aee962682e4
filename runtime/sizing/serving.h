// What users see of a copy of a model under a load: time to the first token, time per token, tokens
// a second, and how many requests are served at once.
#pragma once

#include <algorithm>

#include "runtime/sizing/rank_memory.h"
#include "runtime/sizing/step_time.h"

namespace bundle::sizing {

/// Requests that one copy serves. Either so many users who each send the next request when the last
/// is answered, or requests that arrive at a rate, or as many as fit.
struct Load {
  double concurrency = 0;  // users; 0: see rate
  double rate = 0;         // requests a second; 0 with no concurrency: as many as fit
  double input_tokens = 1024;
  double output_tokens = 1024;

  double tokens() const { return input_tokens + output_tokens; }
};

/// A copy of a model, ready to be asked. Refers to nothing.
struct Replica {
  RankWork work;
  GpuSpec gpu;
  Fabric fabric;
  EngineProfile profile;
  std::int64_t kv_tokens = 0;
};

struct Served {
  double active = 0;           // requests that are computed at once
  double most_active = 0;      // that the cache holds at this load's lengths
  double ttft = 0;             // seconds, mean; waiting included
  double wait = 0;             // of it: for a place in the cache
  double tpot = 0;             // seconds a token, mean, after the first
  double tokens_s = 0;         // output tokens of the copy
  double prompt_tokens_s = 0;  // most that prefill alone could take in
  double tpot_bound = 0;       // physical limit of tpot
  double tokens_s_bound = 0;   // the same load at that limit
  bool saturated = false;      // the rate is more than the copy can serve
  StepTime decode;             // what one step of decode goes to
};

Served serve_load(const Replica& replica, const Load& load, const Efficiency& efficiency);

/// As many users as get a token within `tpot` seconds at the mean, of those that fit; at least one.
Served serve_within(const Replica& replica, const Load& load, const Efficiency& efficiency,
                    double tpot);

/// The likely error of a prediction: nine of ten measurements of the half that was not calibrated
/// on lie within value / factor … value · factor (docs/sizing.md).
inline constexpr double kErrorFactor = 1.4;

/// The short end of that band for the time per token: not below the physical limit.
inline double likely_tpot(const Served& served) {
  return std::max(served.tpot / kErrorFactor, served.tpot_bound);
}

}  // namespace bundle::sizing
