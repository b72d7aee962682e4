// What every target says alike of a deployment, from its kept history.
#pragma once

#include "cloud/history.h"
#include "cloud/provider.h"

namespace bundle::cloud {

/// Name, target, bundle, model and revisions, without anything that must be asked of the target.
/// `history` has a revision.
DeploymentStatus status_of(const History& history);

/// Puts into `status` what a specification says of its being a canary.
void tell_role(const DeploymentSpec& spec, DeploymentStatus& status);

/// "running", "degraded", "starting" or "stopped", from replicas that are ready and that are there.
std::string state_of(std::size_t ready, std::size_t replicas);

/// Puts into `status.message` that the last apply was cut off, where it was.
void tell_pending(const History& history, DeploymentStatus& status);

}  // namespace bundle::cloud
