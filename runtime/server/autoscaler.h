// How many replicas the load calls for, and why: what /autoscale says.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/server/load_monitor.h"

namespace bundle::server {

/// What to aim at. 0 leaves an objective out.
struct ScalingOptions {
  double target_concurrency = 0;   // requests at once on a replica; 0: what the engine runs at once
  double target_ttft_seconds = 0;  // of 95 in 100 requests
  double idle_seconds = 0;         // without a request: none is needed; 0: one always is
  std::int64_t min_replicas = 0;
  std::int64_t max_replicas = 1000;
};

/// What is known of the replica that is asked, which stands for the others.
struct ReplicaLoad {
  LoadFigures figures = {};
  std::int64_t replicas = 1;     // that run now
  std::int64_t slots = 0;        // requests that the engine runs at once; 0: not known
  std::int64_t concurrency = 0;  // running and waiting now
  double predicted_wait = 0;     // seconds
};

struct ScalingAdvice {
  std::int64_t replicas = 1;
  std::string objective;  // "concurrency", "ttft", "idle" or "bounds"
  std::string reason;     // one sentence for people
};

/// The greatest of what the objectives call for, within the bounds. A burst counts at once, falling
/// load only as the mean of a minute falls.
ScalingAdvice advise(const ScalingOptions& options, const ReplicaLoad& load);

}  // namespace bundle::server
