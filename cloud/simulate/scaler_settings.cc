#include "cloud/simulate/scaler_settings.h"

#include <cmath>
#include <cstdio>

namespace bundle::cloud {
namespace {

std::string whole(double value) {
  return std::to_string(static_cast<long long>(std::llround(value)));
}

std::string thousandths(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

/// The section that all targets share; its delays only where the scaler has them.
std::string scaling_section(const PolicySettings& set, bool concurrency, bool delays) {
  std::string text = "scaling:\n  min_replicas: " + std::to_string(set.min_replicas) +
                     "\n  max_replicas: " + std::to_string(set.max_replicas) + "\n";
  if (concurrency) text += "  target_concurrency: " + whole(set.target) + "\n";
  if (delays) {
    text += "  scale_up_delay_seconds: " + whole(set.up_delay_seconds) +
            "\n  scale_down_delay_seconds: " + whole(set.down_delay_seconds) + "\n";
  }
  return text;
}

/// What KEDA needs besides, which no simulation knows.
std::string keda_needs(const PolicySettings& set) {
  std::string text = "  # prometheus: its address, where KEDA reads requests in flight\n";
  if (set.min_replicas == 0) {
    text += "  # hostnames: [those that clients ask for, by which KEDA's HTTP add-on wakes it]\n";
  }
  return text;
}

std::string knative(const PolicySettings& set) {
  const auto line = [](const std::string& name, const std::string& value) {
    return "autoscaling.knative.dev/" + name + ": \"" + value + "\"\n";
  };
  return "# annotations of a Knative Service's revision template\n" +
         line("class", "kpa.autoscaling.knative.dev") + line("metric", "concurrency") +
         line("target", whole(set.target)) + line("target-utilization-percentage", "100") +
         line("min-scale", std::to_string(set.min_replicas)) +
         line("max-scale", std::to_string(set.max_replicas)) +
         line("scale-down-delay", whole(set.down_delay_seconds) + "s");
}

}  // namespace

std::string scaler_settings(const SimulationResult& result) {
  const PolicySettings& set = result.settings;
  if (result.policy == "kpa") return knative(set);
  if (result.policy == "hpa" || result.policy == "keda") {
    const std::string idle =
        result.policy == "keda" ? "  idle_seconds: " + whole(set.idle_seconds) + "\n" : "";
    return "# deployment.yaml of target kubernetes\n" + scaling_section(set, true, true) + idle +
           "kubernetes:\n  autoscaler: " + result.policy + "\n" +
           (result.policy == "keda" ? keda_needs(set) : "");
  }
  if (result.policy == "target-tracking") {
    return "# deployment.yaml of target aws\n" + scaling_section(set, true, false);
  }
  if (result.policy == "skyserve") {
    return "# deployment.yaml of target skypilot\n" + scaling_section(set, false, true) +
           "skypilot:\n  target_rate: " + thousandths(set.target) + "\n";
  }
  return "# deployment.yaml\nreplicas: " + std::to_string(set.max_replicas) + "\n";
}

}  // namespace bundle::cloud
