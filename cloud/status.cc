#include "cloud/status.h"

namespace bundle::cloud {

DeploymentStatus status_of(const History& history) {
  const DeploymentSpec& spec = history.current().spec;
  DeploymentStatus status;
  status.name = spec.name;
  status.target = spec.target;
  status.bundle = spec.bundle;
  status.digest = spec.digest;
  status.revision = history.number();
  if (const Json* model = spec.launch.if_contains("name"); model && model->is_string()) {
    status.model = std::string(model->get_string());
  }
  for (const Revision& revision : history.revisions) status.revisions.push_back(revision.number);
  return status;
}

std::string state_of(std::size_t ready, std::size_t replicas) {
  if (replicas == 0) return "stopped";
  if (ready == replicas) return "running";
  return ready > 0 ? "degraded" : "starting";
}

void tell_pending(const History& history, DeploymentStatus& status) {
  if (!history.pending) return;
  status.message = "revision " + std::to_string(history.number()) +
                   " was not applied to its end; run 'bundle deploy' again, or 'bundle rollback'";
}

}  // namespace bundle::cloud
