// Pictures of simulated runs: replicas and load over time as SVG, and a page that holds all.
#pragma once

#include <string>
#include <vector>

#include "cloud/simulate/recommend.h"

namespace bundle::cloud {

/// Replicas that are ready and ordered (left axis) and requests in flight (right axis) over time.
/// A whole SVG document.
std::string svg_chart(const SimulationResult& result);

/// One HTML page without any outside resource: the verdict, a table of the policies, their charts.
std::string html_report(const Recommendation& recommendation, double price_per_replica_hour);

}  // namespace bundle::cloud
