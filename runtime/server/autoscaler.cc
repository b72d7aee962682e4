#include "runtime/server/autoscaler.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace bundle::server {
namespace {

constexpr double kTolerance = 0.1;  // of the target: less is no reason to change anything
constexpr double kMostGrowth = 2;   // by a latency objective: latency is not linear in load
constexpr double kPanic = 2;        // a burst of so many times the capacity counts at once

std::int64_t replicas_for(double load, double target, std::int64_t replicas) {
  const double wanted = static_cast<double>(replicas) * load / target;
  const auto now = static_cast<double>(replicas);
  if (std::abs(wanted - now) <= kTolerance * now) return replicas;
  return static_cast<std::int64_t>(std::ceil(wanted - 1e-9));
}

ScalingAdvice for_concurrency(const ScalingOptions& options, const ReplicaLoad& load) {
  const double target =
      options.target_concurrency > 0 ? options.target_concurrency : static_cast<double>(load.slots);
  const std::int64_t least = 1;
  if (target <= 0) return {load.replicas, "concurrency", "no target is known"};
  const bool panic = load.figures.burst >= kPanic * target;
  const double seen = panic ? load.figures.burst : load.figures.concurrency;
  return {std::max(least, replicas_for(seen, target, load.replicas)), "concurrency",
          fmt::format("{:.1f} requests at once a replica over the last {}, the target is {:g}",
                      seen, panic ? "6 seconds" : "minute", target)};
}

/// The wait that newcomers face counts as much as the one that others had.
ScalingAdvice for_latency(const ScalingOptions& options, const ReplicaLoad& load) {
  const double seen = std::max(load.figures.first_token_p95, load.predicted_wait);
  const double ratio = std::min(seen / options.target_ttft_seconds, kMostGrowth);
  if (ratio <= 1) return {1, "ttft", "the first token comes in time"};
  return {replicas_for(ratio, 1, load.replicas), "ttft",
          fmt::format("the first token takes {:.2f} s (95 in 100, or predicted), the target is "
                      "{:g} s",
                      seen, options.target_ttft_seconds)};
}

ScalingAdvice within_bounds(const ScalingOptions& options, ScalingAdvice advice) {
  const std::int64_t most = std::max(options.min_replicas, options.max_replicas);
  const std::int64_t bounded = std::clamp(advice.replicas, options.min_replicas, most);
  if (bounded == advice.replicas) return advice;
  return {bounded, "bounds",
          fmt::format("{}; that would be {}, the bounds are {} to {}", advice.reason,
                      advice.replicas, options.min_replicas, most)};
}

}  // namespace

ScalingAdvice advise(const ScalingOptions& options, const ReplicaLoad& load) {
  const bool idle = load.concurrency == 0 && options.idle_seconds > 0 &&
                    load.figures.idle >= options.idle_seconds;
  if (idle) {
    return within_bounds(options, {0, "idle",
                                   fmt::format("no request for {:.0f} s, the limit is {:g} s",
                                               load.figures.idle, options.idle_seconds)});
  }
  ScalingAdvice advice = for_concurrency(options, load);
  if (options.target_ttft_seconds > 0) {
    ScalingAdvice other = for_latency(options, load);
    if (other.replicas > advice.replicas) advice = std::move(other);
  }
  return within_bounds(options, std::move(advice));
}

}  // namespace bundle::server
