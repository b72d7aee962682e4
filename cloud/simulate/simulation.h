// A deployment under a trace: a router, a hold queue, replicas that start and drain, and a scaler.
#pragma once

#include <functional>
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

/// Runs the whole trace. Deterministic.
Result<SimulationResult> simulate(const Trace& trace, const LoadProfile& profile,
                                  std::string_view policy, const PolicySettings& settings,
                                  const Objective& objective);

Json to_json(const SimulationResult& result, double price_per_replica_hour);

}  // namespace bundle::cloud
