// Finds settings that meet an objective at the least cost, or says that none do and why.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cloud/simulate/simulation.h"

namespace bundle::cloud {

struct SearchOptions {
  std::vector<std::string> policies;  // empty: all
  int max_replicas = 12;
  double goal = 0.99;  // share of requests within the objective
  Objective objective;
  double price_per_replica_hour = 0;
};

struct Recommendation {
  /// The cheapest run that reaches the goal; none: no setting within the bounds does.
  std::optional<SimulationResult> best;
  /// The smallest fixed count that reaches the goal, run; none: none does.
  std::optional<SimulationResult> best_fixed;
  /// Per policy the cheapest run that reaches the goal, else the one that comes nearest.
  std::vector<SimulationResult> per_policy;
  std::string verdict;  // one paragraph for people
  std::string limit;    // "infeasible", "static", "autoscale"
};

/// Searches bounds, targets and windows. kInterrupted when `progress` says so.
Result<Recommendation> recommend(const Trace& trace, const LoadProfile& profile,
                                 const SearchOptions& options, const Progress& progress);

/// The exact settings of a run, as the scaler it was under is configured, with comments.
std::string scaler_settings(const SimulationResult& result);

Json to_json(const Recommendation& recommendation, double price_per_replica_hour);

}  // namespace bundle::cloud
