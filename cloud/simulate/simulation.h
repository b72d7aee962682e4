// A deployment under a trace: a router, a hold queue, replicas that start and drain, and a scaler.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cloud/simulate/policy.h"
#include "cloud/simulate/profile.h"
#include "cloud/simulate/trace.h"

namespace bundle::cloud {

/// What every request shall meet; 0: no limit.
struct Objective {
  double ttft_ms = 0;
  double tpot_ms = 0;
};

struct ReplicaSample {
  double time = 0;
  int ready = 0;
  int provisioned = 0;
  double in_flight = 0;
};

struct SimulationResult {
  std::string policy;
  PolicySettings settings;
  double attainment = 0;      // share of requests within the objective
  double worst_replay = -1;   // the same in the least of the trace's replays; negative: none
  double replica_hours = 0;   // from the order on, until the drain is over
  double starting_hours = 0;  // of these, before the first answer
  double average_replicas = 0;
  int changes = 0;
  int most_replicas = 0;
  double ttft_p50 = 0, ttft_p99 = 0;  // seconds
  double tpot_p50 = 0, tpot_p99 = 0;
  double zero_seconds = 0;  // without any replica
  double longest_hold = 0;  // a request waited so long for a replica
  std::int64_t requests = 0;
  std::vector<ReplicaSample> series;  // every 15 s
};

/// A deployment under load whose number of replicas the caller decides: it lets time go on, reads
/// what a scaler would see and orders or drains replicas. Deterministic. Keeps references to the
/// trace, which must not be empty, and to the profile. Not thread-safe.
class Simulation {
 public:
  /// `replicas` are ready when the trace begins.
  Simulation(const Trace& trace, const LoadProfile& profile, int replicas,
             const Objective& objective);
  ~Simulation();
  Simulation(Simulation&& other) noexcept;
  Simulation& operator=(Simulation&& other) noexcept;

  /// Lets time go on to `until` seconds from the trace's start, or until all is over.
  void advance(double until);
  /// Orders replicas, which are ready a startup later, or drains some, now.
  void scale_to(int replicas);

  double now() const;
  /// Every request has been answered.
  bool over() const;
  /// Valid until time goes on.
  ScalingSignals signals() const;
  /// Requests that were answered outside the objective.
  std::int64_t missed() const;
  double replica_hours() const;
  /// Of the run up to now, without policy and settings.
  SimulationResult result() const;

 private:
  class Run;
  std::unique_ptr<Run> run_;
};

/// When a run is given up, and how its scaler lies in time.
struct RunLimits {
  std::int64_t misses = std::numeric_limits<std::int64_t>::max();
  double replica_hours = std::numeric_limits<double>::infinity();
  double phase = 0;  // share of its interval that the scaler waits before it first looks
};

/// As simulate(); nothing when the run went over a limit.
Result<std::optional<SimulationResult>> simulate_within(const RunLimits& limits, const Trace& trace,
                                                        const LoadProfile& profile,
                                                        std::string_view policy,
                                                        const PolicySettings& settings,
                                                        const Objective& objective);

/// Runs the whole trace. Deterministic. kUsage for settings out of range.
Result<SimulationResult> simulate(const Trace& trace, const LoadProfile& profile,
                                  std::string_view policy, const PolicySettings& settings,
                                  const Objective& objective);

Json to_json(const SimulationResult& result, double price_per_replica_hour);

}  // namespace bundle::cloud
