// Tries settings of scalers: a coarse grid over bounds, targets and windows, then steps from the
// best of it to better neighbours.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "cloud/simulate/simulation.h"

namespace bundle::cloud {

struct SearchOptions {
  std::vector<std::string> policies;  // empty: all
  int max_replicas = 64;
  double goal = 0.99;  // share of requests within the objective
  Objective objective;
  double price_per_replica_hour = 0;
  /// Settings found on this first share of the trace are tried on the rest; 0: not.
  double seen_share = 0.5;
  int threads = 0;  // 0: as many as the machine has
};

/// A fixed count is what it is; a scaler's settings must hold the goal with a quarter of the
/// allowed misses to spare, and in the replays, lest they fit one trace alone.
bool is_sound(const SimulationResult& run, double goal);

/// The settings of one scaler that hold the goal at the least cost, in the trace and in replays of
/// it with other arrivals and lengths, one with 15 % more load; else those that hold it in the
/// trace; else those that come nearest.
class ScalerSearch {
 public:
  /// All references are kept. `fixed` is the run of the smallest count that holds the goal.
  ScalerSearch(const Trace& trace, const LoadProfile& profile, const SearchOptions& options,
               const SimulationResult& fixed, const Progress& progress);
  /// Another policy than "static". kInterrupted when the progress says so.
  Result<SimulationResult> run(const std::string& policy);
  /// The least that the run's settings, which need not be a scaler's, attain in the replays.
  Result<double> worst_replay(const SimulationResult& run);

 private:
  class Descent;

  const Trace& trace_;
  const LoadProfile& profile_;
  const SearchOptions& options_;
  const SimulationResult& fixed_;
  const Progress& progress_;
  std::vector<Trace> replays_;
  std::uint64_t tried_ = 0;
};

/// The smallest fixed number of replicas that holds the goal, or the largest allowed when none
/// does.
Result<SimulationResult> search_fixed(const Trace& trace, const LoadProfile& profile,
                                      const SearchOptions& options, const Progress& progress);

/// Arrivals up to a second earlier or later, each with the lengths of one of its neighbours: the
/// same traffic on another day.
Trace replayed(const Trace& trace, std::uint64_t seed);

}  // namespace bundle::cloud
