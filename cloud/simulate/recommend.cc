#include "cloud/simulate/recommend.h"

#include <algorithm>
#include <cstdio>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "cloud/simulate/scaler_settings.h"

namespace bundle::cloud {
namespace {

std::string number(double value, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share) { return number(100 * share, 2) + " %"; }

std::string hours(const SimulationResult& run) {
  return number(run.replica_hours, 2) + " replica-hours";
}

/// Everything but the verdict's words and the held-out part.
Result<Recommendation> search(const Trace& trace, const LoadProfile& profile,
                              const SearchOptions& options, const Progress& progress) {
  Recommendation found;
  BUNDLE_TRY(SimulationResult fixed, search_fixed(trace, profile, options, progress));
  found.per_policy.push_back(fixed);
  // No scaler within the same bounds does what the most replicas do not do at all times.
  if (fixed.attainment < options.goal) return found;
  ScalerSearch scalers(trace, profile, options, fixed, progress);
  BUNDLE_TRY(fixed.worst_replay, scalers.worst_replay(fixed));
  found.best_fixed = found.best = found.per_policy.front() = fixed;
  for (const std::string& policy : options.policies.empty() ? policy_names() : options.policies) {
    if (policy == "static") continue;
    BUNDLE_TRY(SimulationResult run, scalers.run(policy));
    const bool better =
        is_sound(run, options.goal) && run.replica_hours < found.best->replica_hours;
    if (better) found.best = run;
    found.per_policy.push_back(std::move(run));
  }
  return found;
}

/// The requests that arrive before `seconds`, and those after, whose time begins there.
std::pair<Trace, Trace> cut(const Trace& trace, double seconds) {
  std::pair<Trace, Trace> parts;
  for (TraceRequest request : trace) {
    if (request.arrival < seconds) {
      parts.first.push_back(request);
    } else {
      request.arrival -= seconds;
      parts.second.push_back(request);
    }
  }
  return parts;
}

Result<std::optional<HeldOut>> hold_out(const Trace& trace, const LoadProfile& profile,
                                        const SearchOptions& options, const Progress& progress) {
  HeldOut held;
  held.seen_seconds = options.seen_share * trace.back().arrival;
  const auto [first, rest] = cut(trace, held.seen_seconds);
  if (first.empty() || rest.empty()) return std::optional<HeldOut>();
  BUNDLE_TRY(Recommendation found, search(first, profile, options, progress));
  if (!found.best) return std::optional<HeldOut>();
  held.seen = *std::move(found.best);
  const auto on_rest = [&](const SimulationResult& run) {
    return simulate(rest, profile, run.policy, run.settings, options.objective);
  };
  BUNDLE_TRY(held.rest, on_rest(held.seen));
  BUNDLE_TRY(held.fixed_rest, on_rest(*found.best_fixed));
  BUNDLE_TRY(held.best_fixed_rest, search_fixed(rest, profile, options, progress));
  return std::optional<HeldOut>(std::move(held));
}

std::string bounds(const SimulationResult& run) {
  if (run.policy == "static") return std::to_string(run.settings.max_replicas) + " fixed";
  return run.policy + " between " + std::to_string(run.settings.min_replicas) + " and " +
         std::to_string(run.settings.max_replicas);
}

std::string held_out_text(const HeldOut& held) {
  std::string text = " Found on the first " + number(held.seen_seconds / 60, 0) +
                     " minutes alone, " + bounds(held.seen) + " reaches " +
                     percent(held.rest.attainment) + " of the rest with " + hours(held.rest);
  if (held.seen.policy != "static") {
    text += "; so found, " + bounds(held.fixed_rest) + " reaches " +
            percent(held.fixed_rest.attainment) + " with " +
            number(held.fixed_rest.replica_hours, 2);
  }
  return text + "; the rest itself calls for " + bounds(held.best_fixed_rest) + " with " +
         number(held.best_fixed_rest.replica_hours, 2) + ".";
}

std::string replay_text(const SimulationResult& run) {
  return "With other arrivals and up to 15 % more of them it reaches at least " +
         percent(run.worst_replay) + ".";
}

std::string fixed_text(const Recommendation& found, double goal) {
  const SimulationResult& best = *found.best;
  const std::string text =
      "Do not autoscale: a fixed " + std::to_string(best.settings.max_replicas) +
      (best.settings.max_replicas == 1 ? " replica reaches " : " replicas reach ") +
      percent(best.attainment) + " with " + hours(best) + ", and no scaler holds " +
      number(100 * goal, 1) + " % with fewer.";
  return text + " " + replay_text(best);
}

std::string scaler_text(const Recommendation& found) {
  const SimulationResult& best = *found.best;
  return bounds(best) + " replicas reaches " + percent(best.attainment) + " with " + hours(best) +
         "; fixed, it takes " + std::to_string(found.best_fixed->settings.max_replicas) +
         " replicas and " + number(found.best_fixed->replica_hours, 2) + ". " + replay_text(best) +
         " Do not go below " + std::to_string(best.settings.min_replicas) + ".";
}

/// The floor that no number of replicas lowers, or that the most allowed are too few.
std::string why_not(const Trace& trace, const LoadProfile& profile, const SearchOptions& options,
                    const SimulationResult& nearest) {
  const double goal = options.goal;
  std::vector<double> floors;
  for (const TraceRequest& request : trace) {
    floors.push_back(1000 * request.prompt_tokens / profile.prefill_tokens_per_second);
  }
  std::sort(floors.begin(), floors.end());
  const double floor =
      floors[static_cast<std::size_t>(goal * static_cast<double>(floors.size() - 1))];
  const double step = profile.step_ms + profile.step_ms_per_sequence;
  const Objective& objective = options.objective;
  const std::string text = "This objective cannot be met";
  if (objective.ttft_ms > 0 && floor > objective.ttft_ms) {
    return text + ": alone on a replica, computing the prompt takes " + number(floor, 0) +
           " ms for " + number(100 * (1 - goal), 1) + " % of the requests, over the " +
           number(objective.ttft_ms, 0) + " ms allowed. No number of replicas changes that.";
  }
  if (objective.tpot_ms > 0 && step > objective.tpot_ms) {
    return text + ": a token takes " + number(step) + " ms even alone, over the " +
           number(objective.tpot_ms) + " ms allowed.";
  }
  return text + " with at most " + std::to_string(options.max_replicas) + " replicas: they reach " +
         percent(nearest.attainment) + ", p99 of the first token " + number(nearest.ttft_p99, 2) +
         " s.";
}

}  // namespace

Result<Recommendation> recommend(const Trace& trace, const LoadProfile& profile,
                                 const SearchOptions& options, const Progress& progress) {
  const bool sane = options.max_replicas >= 1 && options.max_replicas <= 1000 && options.goal > 0 &&
                    options.goal <= 1 && options.seen_share >= 0 && options.seen_share < 1;
  if (!sane || trace.empty()) {
    return Error{ErrorCode::kUsage, "the search's bounds or goal are out of range"};
  }
  BUNDLE_TRY(Recommendation found, search(trace, profile, options, progress));
  if (!found.best) {
    found.limit = "infeasible";
    found.verdict = why_not(trace, profile, options, found.per_policy.front());
    return found;
  }
  const bool is_static = found.best->policy == "static";
  found.limit = is_static ? "static" : "autoscale";
  found.verdict = is_static ? fixed_text(found, options.goal) : scaler_text(found);
  if (options.seen_share > 0) {
    BUNDLE_TRY(found.held_out, hold_out(trace, profile, options, progress));
  }
  if (found.held_out) found.verdict += held_out_text(*found.held_out);
  return found;
}

Json to_json(const Recommendation& recommendation, double price) {
  const auto one = [&](const std::optional<SimulationResult>& result) {
    return result ? to_json(*result, price) : Json(nullptr);
  };
  Json held = nullptr;
  if (const auto& part = recommendation.held_out) {
    held = JsonObject{{"seen_seconds", part->seen_seconds},
                      {"seen", to_json(part->seen, price)},
                      {"rest", to_json(part->rest, price)},
                      {"fixed_rest", to_json(part->fixed_rest, price)},
                      {"best_fixed_rest", to_json(part->best_fixed_rest, price)}};
  }
  JsonArray policies;
  for (const SimulationResult& result : recommendation.per_policy) {
    policies.push_back(to_json(result, price));
  }
  return JsonObject{{"answer", recommendation.limit},
                    {"verdict", recommendation.verdict},
                    {"settings", recommendation.best ? scaler_settings(*recommendation.best) : ""},
                    {"best", one(recommendation.best)},
                    {"best_fixed", one(recommendation.best_fixed)},
                    {"held_out", std::move(held)},
                    {"per_policy", std::move(policies)}};
}

}  // namespace bundle::cloud
