// What decides the number of replicas: the rules of the scalers that deployments run under, with
// their published defaults, over signals that a real one would read.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::cloud {

/// What a scaler can see at one moment. Histories hold one sample a second, the newest last.
struct ScalingSignals {
  double now = 0;
  double in_flight = 0;  // held, queued and running, all together
  int ready = 0;
  int provisioned = 0;  // ready and starting
  const std::vector<double>* in_flight_history = nullptr;
  const std::vector<double>* arrivals_history = nullptr;  // requests that came in each second
};

/// Bounds and knobs that all policies share; each reads what it has a use for.
struct PolicySettings {
  int min_replicas = 1;
  int max_replicas = 1;
  double target = 16;           // requests in flight a replica; for SkyServe: requests a second
  double up_delay_seconds = 0;  // how long more must be wanted
  double down_delay_seconds = 300;
  double idle_seconds = 300;  // before the last replica goes
};

/// One scaler. Not thread-safe.
class ScalingPolicy {
 public:
  virtual ~ScalingPolicy() = default;
  /// Seconds between decisions.
  virtual double interval() const = 0;
  /// How many replicas there should be, within the bounds.
  virtual int desired(const ScalingSignals& signals) = 0;
};

/// "static", "hpa", "keda", "kpa", "target-tracking" or "skyserve".
/// kUsage for another name.
Result<std::unique_ptr<ScalingPolicy>> make_policy(std::string_view name,
                                                   const PolicySettings& settings);
std::vector<std::string> policy_names();

}  // namespace bundle::cloud
