// Where a deployment's replicas run: hosts, ports, GPUs. No two deployments share a port or a GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "cloud/deployment_spec.h"
#include "cloud/systemd/fleet.h"

namespace bundle::cloud {

/// The port of a host's first deployment, where none is asked for.
constexpr std::uint16_t kFirstPort = 8000;

/// One replica's place. Replica r runs on host r modulo the number of hosts; those that share a
/// host listen on consecutive ports and have GPUs of their own.
struct UnitReplica {
  int index = 0;
  std::size_t host = 0;
  std::uint16_t port = 0;
  int gpu = 0;  // the first of its GPUs on that host
};

/// All replicas of a specification whose port and GPUs are known.
std::vector<UnitReplica> place_replicas(const DeploymentSpec& spec, std::size_t hosts);

/// Those of so many hosts that have a replica.
std::vector<std::size_t> hosts_of(const DeploymentSpec& spec, std::size_t hosts);

/// Gives a specification the port and the GPUs that it has (`before` is what runs, or null), or
/// such as no other deployment has. kBadInput where a host has too few GPUs.
Status place(const Fleet& fleet, const DeploymentSpec* before, DeploymentSpec& spec);

}  // namespace bundle::cloud
