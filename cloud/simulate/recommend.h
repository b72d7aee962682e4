// Finds settings that meet an objective at the least cost, or says that none do and why.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cloud/simulate/search.h"

namespace bundle::cloud {

/// How settings that were found on the first part of the trace do on the rest, which the search
/// had not seen.
struct HeldOut {
  double seen_seconds = 0;
  SimulationResult seen;             // on the first part
  SimulationResult rest;             // the same settings on the rest
  SimulationResult fixed_rest;       // the first part's smallest fixed count, on the rest
  SimulationResult best_fixed_rest;  // the fixed count that the rest itself calls for
};

struct Recommendation {
  /// The cheapest run that reaches the goal; none: no setting within the bounds does.
  std::optional<SimulationResult> best;
  /// The smallest fixed count that reaches the goal, run; none: none does.
  std::optional<SimulationResult> best_fixed;
  /// Per policy the cheapest run that reaches the goal, else the one that comes nearest.
  std::vector<SimulationResult> per_policy;
  /// None when not asked for, or when the first part has no answer.
  std::optional<HeldOut> held_out;
  std::string verdict;  // one paragraph for people
  std::string limit;    // "infeasible", "static", "autoscale"
};

/// Searches bounds, targets and windows. The same arguments give the same answer, however many
/// threads. kInterrupted when `progress` says so.
Result<Recommendation> recommend(const Trace& trace, const LoadProfile& profile,
                                 const SearchOptions& options, const Progress& progress);

Json to_json(const Recommendation& recommendation, double price_per_replica_hour);

}  // namespace bundle::cloud
