#include "cloud/simulate/profile.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "base/text.h"

namespace bundle::cloud {
namespace {

Result<double> startup_of(const Json& value, std::string_view where) {
  BUNDLE_TRY(double total, get_double_or(value, "startup_seconds", 0, where));
  const Json* phases = find(value, "startup");
  if (phases == nullptr || !phases->is_object()) return total;
  for (const auto& [name, seconds] : phases->get_object()) {
    BUNDLE_TRY(const double one, get_double_or(*phases, name, 0, where));
    total += one;
  }
  return total;
}

/// A misspelt key would be a wrong answer. What begins with '_' is for people.
Status check_keys(const Json& value, std::string_view where) {
  static const std::vector<std::string> known = {"prefill_tokens_per_second",
                                                 "step_ms",
                                                 "step_ms_per_sequence",
                                                 "kv_tokens",
                                                 "max_sequences",
                                                 "prefill_share",
                                                 "startup",
                                                 "startup_seconds"};
  if (!value.is_object()) return bad_input("a profile is an object", std::string(where));
  for (const auto& [key, unused] : value.get_object()) {
    const std::string name(key);
    if (name.starts_with("_") || std::find(known.begin(), known.end(), name) != known.end())
      continue;
    const std::string near = nearest(name, known);
    return bad_input(
        "a profile has no key '" + name + "'", std::string(where),
        near.empty() ? "docs/simulate.md lists them." : "Did you mean '" + near + "'?");
  }
  return {};
}

}  // namespace

Result<LoadProfile> profile_from_json(const Json& value, std::string_view where) {
  LoadProfile profile;
  BUNDLE_CHECK(check_keys(value, where));
  BUNDLE_TRY(profile.prefill_tokens_per_second,
             get_double_or(value, "prefill_tokens_per_second", 0, where));
  BUNDLE_TRY(profile.step_ms, get_double_or(value, "step_ms", 0, where));
  BUNDLE_TRY(profile.step_ms_per_sequence, get_double_or(value, "step_ms_per_sequence", 0, where));
  BUNDLE_TRY(profile.kv_tokens, get_int_or(value, "kv_tokens", 0, where));
  BUNDLE_TRY(profile.max_sequences,
             get_int_or(value, "max_sequences", profile.max_sequences, where));
  BUNDLE_TRY(profile.prefill_share,
             get_double_or(value, "prefill_share", profile.prefill_share, where));
  BUNDLE_TRY(profile.startup_seconds, startup_of(value, where));
  const bool sane = profile.prefill_tokens_per_second > 0 && profile.step_ms > 0 &&
                    profile.step_ms_per_sequence >= 0 && profile.kv_tokens > 0 &&
                    profile.max_sequences > 0 && profile.prefill_share > 0 &&
                    profile.prefill_share < 1 && profile.startup_seconds >= 0;
  if (sane) return profile;
  return bad_input("the profile lacks a value, or one is impossible", std::string(where),
                   "It needs prefill_tokens_per_second, step_ms and kv_tokens over 0, and "
                   "prefill_share between 0 and 1.");
}

Json to_json(const LoadProfile& profile) {
  return JsonObject{{"prefill_tokens_per_second", profile.prefill_tokens_per_second},
                    {"step_ms", profile.step_ms},
                    {"step_ms_per_sequence", profile.step_ms_per_sequence},
                    {"kv_tokens", profile.kv_tokens},
                    {"max_sequences", profile.max_sequences},
                    {"prefill_share", profile.prefill_share},
                    {"startup_seconds", profile.startup_seconds}};
}

std::int64_t sustainable_concurrency(const LoadProfile& profile, double tpot_ms,
                                     double mean_tokens) {
  double most = static_cast<double>(profile.max_sequences);
  if (tpot_ms > 0 && profile.step_ms_per_sequence > 0) {
    most = std::min(most, (tpot_ms - profile.step_ms) / profile.step_ms_per_sequence);
  }
  if (mean_tokens > 0) most = std::min(most, static_cast<double>(profile.kv_tokens) / mean_tokens);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(most));
}

}  // namespace bundle::cloud
