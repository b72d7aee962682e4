// systemd units and Podman quadlets of a deployment's replicas.
#pragma once

#include <string>

#include "cloud/systemd/placement.h"

namespace bundle::cloud {

/// "bundle-NAME-INDEX.service".
std::string unit_name(std::string_view deployment, int index);
std::string socket_name(std::string_view deployment, int index);

/// The service unit of a specification in host form.
Result<std::string> service_unit(const DeploymentSpec& spec, const UnitReplica& replica,
                                 const std::string& root);
/// Holds the port while the server sleeps; for deployments with no least replica.
Result<std::string> socket_unit(const DeploymentSpec& spec, const UnitReplica& replica);
/// A quadlet that runs the bundle as a container image.
Result<std::string> quadlet(const DeploymentSpec& spec, const UnitReplica& replica);

}  // namespace bundle::cloud
