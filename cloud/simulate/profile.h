// What one replica can do, measured: the constants that thresholds are derived from.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace bundle::cloud {

struct LoadProfile {
  double prefill_tokens_per_second = 0;
  double step_ms = 0;               // of a decode step with one sequence, without its share below
  double step_ms_per_sequence = 0;  // what each running sequence adds
  std::int64_t kv_tokens = 0;       // positions that the cache holds
  std::int64_t max_sequences = 256;
  double prefill_share = 0.8;  // of the time, while prompts wait and sequences run
  double startup_seconds = 0;  // from the order to the first answer
};

/// Keys as the fields. kBadInput for missing or impossible values; a startup may also be given as
/// "startup": {"fetch": s, "load": s, "compile": s, "warm_up": s}, whose sum counts.
Result<LoadProfile> profile_from_json(const Json& value, std::string_view where);
Json to_json(const LoadProfile& profile);

/// Requests in flight at which one replica still meets `tpot_ms`, capped by its cache at that mean
/// length: the target of a concurrency scaler. At least 1.
std::int64_t sustainable_concurrency(const LoadProfile& profile, double tpot_ms,
                                     double mean_tokens);

}  // namespace bundle::cloud
