// A run's settings in the words of the scaler that it was under.
#pragma once

#include <string>

#include "cloud/simulate/simulation.h"

namespace bundle::cloud {

/// Keys of deployment.yaml, which render to exactly what was simulated; for "kpa", which no target
/// renders, annotations of a Knative Service. With comments.
std::string scaler_settings(const SimulationResult& result);

}  // namespace bundle::cloud
