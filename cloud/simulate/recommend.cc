#include "cloud/simulate/recommend.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::cloud {
namespace {

std::string number(double value, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

struct Means {
  double prompt = 0;
  double output = 0;
  double rate = 0;
};

Means means_of(const Trace& trace) {
  Means means;
  for (const TraceRequest& request : trace) {
    means.prompt += request.prompt_tokens;
    means.output += request.output_tokens;
  }
  const auto n = static_cast<double>(trace.size());
  means.prompt /= n;
  means.output /= n;
  means.rate = n / std::max(1.0, trace.back().arrival);
  return means;
}

/// Reached the goal beats not; then the cheaper one, or the one that comes nearer.
bool is_better(const SimulationResult& a, const SimulationResult& b, double goal) {
  const bool a_meets = a.attainment >= goal;
  if (a_meets != (b.attainment >= goal)) return a_meets;
  if (a_meets && a.replica_hours != b.replica_hours) return a.replica_hours < b.replica_hours;
  return a.attainment > b.attainment;
}

class Search {
 public:
  Search(const Trace& trace, const LoadProfile& profile, const SearchOptions& options,
         const Progress& progress)
      : trace_(trace),
        profile_(profile),
        options_(options),
        progress_(progress),
        means_(means_of(trace)) {}

  Result<Recommendation> run() {
    BUNDLE_CHECK(fixed());
    for (const std::string& policy : policies()) {
      if (policy != "static") BUNDLE_CHECK(scaler(policy));
    }
    judge();
    return std::move(found_);
  }

 private:
  std::vector<std::string> policies() const {
    return options_.policies.empty() ? policy_names() : options_.policies;
  }

  Result<SimulationResult> try_out(std::string_view policy, const PolicySettings& settings) {
    ++tried_;
    const std::string stage = "trying " + std::string(policy);
    if (progress_ && !progress_(stage, tried_, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped while settings were tried"};
    }
    BUNDLE_TRY(SimulationResult result,
               simulate(trace_, profile_, policy, settings, options_.objective));
    const bool better = result.attainment >= options_.goal &&
                        (!found_.best || is_better(result, *found_.best, options_.goal));
    if (better) found_.best = result;
    return result;
  }

  /// Counts rise until one is enough: more can only cost more.
  Status fixed() {
    std::optional<SimulationResult> nearest;
    for (int n = 1; n <= options_.max_replicas; ++n) {
      PolicySettings settings;
      settings.min_replicas = settings.max_replicas = n;
      BUNDLE_TRY(SimulationResult result, try_out("static", settings));
      if (!nearest || is_better(result, *nearest, options_.goal)) nearest = result;
      if (result.attainment < options_.goal) continue;
      found_.best_fixed = std::move(result);
      break;
    }
    found_.per_policy.push_back(*std::move(nearest));
    return {};
  }

  /// What the scaler's target is a share of: requests in flight that a replica sustains, or for
  /// SkyServe the rate at which it does.
  double full_target(const std::string& policy) const {
    const double tpot = options_.objective.tpot_ms;
    const double concurrency =
        static_cast<double>(sustainable_concurrency(profile_, tpot, means_.prompt + means_.output));
    if (policy != "skyserve") return concurrency;
    const double step = (profile_.step_ms + concurrency * profile_.step_ms_per_sequence) / 1000;
    const double seconds =
        means_.prompt / profile_.prefill_tokens_per_second + means_.output * step;
    const double by_prefill =
        profile_.prefill_share * profile_.prefill_tokens_per_second / means_.prompt;
    return std::min(concurrency / seconds, by_prefill);
  }

  Status scaler(const std::string& policy) {
    std::optional<SimulationResult> nearest;
    const int top =
        found_.best_fixed ? found_.best_fixed->settings.max_replicas : options_.max_replicas;
    std::vector<int> floors = {1, std::max(1, top / 4), std::max(1, top / 2),
                               std::max(1, top * 3 / 4), std::max(1, top - 1)};
    if (policy == "keda") floors = {0};
    std::sort(floors.begin(), floors.end());
    floors.erase(std::unique(floors.begin(), floors.end()), floors.end());
    for (const int least : floors) {
      for (const double share : {0.2, 0.4, 0.7}) {
        for (const double delay : {300.0, 900.0}) {
          PolicySettings settings;
          settings.min_replicas = least;
          settings.max_replicas = options_.max_replicas;
          settings.target =
              std::max(policy == "skyserve" ? 0.01 : 1.0, share * full_target(policy));
          settings.down_delay_seconds = delay;
          if (policy == "skyserve") settings.up_delay_seconds = 60;
          BUNDLE_TRY(SimulationResult result, try_out(policy, settings));
          if (!nearest || is_better(result, *nearest, options_.goal)) nearest = std::move(result);
        }
      }
    }
    found_.per_policy.push_back(*std::move(nearest));
    return {};
  }

  void judge() {
    if (!found_.best) {
      found_.limit = "infeasible";
      found_.verdict = why_not();
      return;
    }
    const SimulationResult& best = *found_.best;
    found_.limit = best.policy == "static" ? "static" : "autoscale";
    if (best.policy == "static") {
      found_.verdict = "Do not autoscale: a fixed " + std::to_string(best.settings.max_replicas) +
                       " replicas reach " + number(100 * best.attainment, 2) + " % with " +
                       number(best.replica_hours) + " replica-hours, and no scaler reaches " +
                       number(100 * options_.goal, 1) + " % with fewer.";
      return;
    }
    found_.verdict = best.policy + " between " + std::to_string(best.settings.min_replicas) +
                     " and " + std::to_string(best.most_replicas) + " replicas reaches " +
                     number(100 * best.attainment, 2) + " % with " + number(best.replica_hours) +
                     " replica-hours";
    if (found_.best_fixed) {
      found_.verdict += "; fixed, it takes " +
                        std::to_string(found_.best_fixed->settings.max_replicas) +
                        " replicas and " + number(found_.best_fixed->replica_hours);
    }
    found_.verdict += ". Do not go below " + std::to_string(best.settings.min_replicas) + ".";
  }

  /// The floor that no number of replicas lowers, or that the most allowed are too few.
  std::string why_not() const {
    const double goal = options_.goal;
    std::vector<double> floors;
    for (const TraceRequest& request : trace_) {
      floors.push_back(1000 * request.prompt_tokens / profile_.prefill_tokens_per_second);
    }
    std::sort(floors.begin(), floors.end());
    const double floor =
        floors[static_cast<std::size_t>(goal * static_cast<double>(floors.size() - 1))];
    const double step = profile_.step_ms + profile_.step_ms_per_sequence;
    const Objective& objective = options_.objective;
    std::string text = "This objective cannot be met";
    if (objective.ttft_ms > 0 && floor > objective.ttft_ms) {
      return text + ": alone on a replica, computing the prompt takes " + number(floor, 0) +
             " ms for " + number(100 * (1 - goal), 1) + " % of the requests, over the " +
             number(objective.ttft_ms, 0) + " ms allowed. No number of replicas changes that.";
    }
    if (objective.tpot_ms > 0 && step > objective.tpot_ms) {
      return text + ": a token takes " + number(step) + " ms even alone, over the " +
             number(objective.tpot_ms) + " ms allowed.";
    }
    const SimulationResult* nearest = &found_.per_policy.front();
    for (const SimulationResult& one : found_.per_policy) {
      if (one.attainment > nearest->attainment) nearest = &one;
    }
    return text + " with at most " + std::to_string(options_.max_replicas) +
           " replicas: the nearest is " + nearest->policy + " with " +
           number(100 * nearest->attainment, 2) + " %, p99 of the first token " +
           number(nearest->ttft_p99, 2) + " s.";
  }

  const Trace& trace_;
  const LoadProfile& profile_;
  const SearchOptions& options_;
  const Progress& progress_;
  Means means_;
  Recommendation found_;
  std::uint64_t tried_ = 0;
};

std::string whole(double value) {
  return std::to_string(static_cast<long long>(std::llround(value)));
}

}  // namespace

Result<Recommendation> recommend(const Trace& trace, const LoadProfile& profile,
                                 const SearchOptions& options, const Progress& progress) {
  const bool sane = options.max_replicas >= 1 && options.max_replicas <= 1000 && options.goal > 0 &&
                    options.goal <= 1;
  if (!sane || trace.empty()) {
    return Error{ErrorCode::kUsage, "the search's bounds or goal are out of range"};
  }
  return Search(trace, profile, options, progress).run();
}

std::string scaler_settings(const SimulationResult& result) {
  const PolicySettings& set = result.settings;
  const std::string least = std::to_string(set.min_replicas);
  const std::string most = std::to_string(set.max_replicas);
  const std::string down = whole(set.down_delay_seconds);
  const std::string target = whole(std::max(1.0, set.target));
  if (result.policy == "static") {
    return "# deployment.yaml\nreplicas: " + most + "\n";
  }
  if (result.policy == "hpa" || result.policy == "keda") {
    return "# deployment.yaml\nscaling:\n  min_replicas: " + least + "\n  max_replicas: " + most +
           "\n  target_concurrency: " + target + "\n  scale_down_delay_seconds: " + down +
           (result.policy == "keda" ? "\n  idle_seconds: " + whole(set.idle_seconds) : "") +
           "\nkubernetes:\n  autoscaler: " + result.policy + "\n";
  }
  if (result.policy == "kpa") {
    return "# annotations of a Knative Service's revision template\n"
           "autoscaling.knative.dev/metric: concurrency\n"
           "autoscaling.knative.dev/target: \"" +
           target +
           "\"\n"
           "autoscaling.knative.dev/target-utilization-percentage: \"100\"\n"
           "autoscaling.knative.dev/min-scale: \"" +
           least +
           "\"\n"
           "autoscaling.knative.dev/max-scale: \"" +
           most +
           "\"\n"
           "autoscaling.knative.dev/scale-down-delay: \"" +
           down + "s\"\n";
  }
  if (result.policy == "target-tracking") {
    return "# deployment.yaml, target aws\nscaling:\n  min_replicas: " + least +
           "\n  max_replicas: " + most + "\n  target_concurrency: " + target + "\n";
  }
  return "# service section of a SkyPilot task\nreplica_policy:\n  min_replicas: " + least +
         "\n  max_replicas: " + most + "\n  target_qps_per_replica: " + number(set.target, 3) +
         "\n  upscale_delay_seconds: " + whole(set.up_delay_seconds) +
         "\n  downscale_delay_seconds: " + down + "\n";
}

Json to_json(const Recommendation& recommendation, double price) {
  const auto one = [&](const std::optional<SimulationResult>& result) {
    return result ? to_json(*result, price) : Json(nullptr);
  };
  JsonArray policies;
  for (const SimulationResult& result : recommendation.per_policy) {
    policies.push_back(to_json(result, price));
  }
  return JsonObject{{"answer", recommendation.limit},
                    {"verdict", recommendation.verdict},
                    {"settings", recommendation.best ? scaler_settings(*recommendation.best) : ""},
                    {"best", one(recommendation.best)},
                    {"best_fixed", one(recommendation.best_fixed)},
                    {"per_policy", std::move(policies)}};
}

}  // namespace bundle::cloud
