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
  tell_role(spec, status);
  if (const Json* model = spec.launch.if_contains("name"); model && model->is_string()) {
    status.model = std::string(model->get_string());
  }
  for (const Revision& revision : history.revisions) status.revisions.push_back(revision.number);
  return status;
}

void tell_role(const DeploymentSpec& spec, DeploymentStatus& status) {
  if (!spec.canary.is_on()) return;
  status.canary_of = spec.canary.of;
  status.weight = spec.canary.share();
}

std::string state_of(std::size_t ready, std::size_t replicas) {
  if (replicas == 0) return "stopped";
  if (ready == replicas) return "running";
  return ready > 0 ? "degraded" : "starting";
}

void tell_pending(const History& history, DeploymentStatus& status) {
  if (!history.pending) return;
  const CanaryRole& role = history.current().spec.canary;
  const std::string again = role.is_on() ? "'bundle update " + role.of + " --canary " +
                                               std::to_string(role.percent) + "%'"
                                         : "'bundle deploy' again";
  status.message = "revision " + std::to_string(history.number()) +
                   " was not applied to its end; run " + again + ", or 'bundle rollback" +
                   (role.is_on() ? " " + role.of : "") + "'";
}

}  // namespace bundle::cloud
