// systemd units and Podman quadlets of a deployment's replicas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cloud/provider.h"

namespace bundle::cloud {

/// One replica's place. Replica r runs on host r modulo the number of hosts; those that share a
/// host listen on consecutive ports.
struct UnitReplica {
  int index = 0;
  std::size_t host = 0;
  std::uint16_t port = 0;
};

/// All replicas of a specification whose port is known.
std::vector<UnitReplica> place_replicas(const DeploymentSpec& spec, std::size_t hosts);

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
