#include "cloud/systemd/placement.h"

#include <algorithm>

#include "cloud/systemd/host_gpus.h"

namespace bundle::cloud {
namespace {

Result<std::vector<DeploymentSpec>> others(const Fleet& fleet, const std::string& name) {
  BUNDLE_TRY(const auto names, fleet.deployments());
  std::vector<DeploymentSpec> specs;
  for (const std::string& one : names) {
    if (one == name) continue;
    BUNDLE_TRY(const auto history, fleet.find_history(one));
    if (history) specs.push_back(history->current().spec);
  }
  return specs;
}

std::uint16_t free_port(const std::vector<DeploymentSpec>& taken, std::size_t hosts) {
  std::uint16_t port = kFirstPort;
  for (const DeploymentSpec& other : taken) {
    const std::uint16_t last = place_replicas(other, hosts).back().port;
    port = std::max<std::uint16_t>(port, static_cast<std::uint16_t>(last + 1));
  }
  return port;
}

}  // namespace

std::vector<UnitReplica> place_replicas(const DeploymentSpec& spec, std::size_t hosts) {
  std::vector<UnitReplica> replicas;
  const int count = std::max(1, spec.scaling.min_replicas);
  for (int i = 0; i < count; ++i) {
    const std::size_t slot = static_cast<std::size_t>(i) / hosts;
    replicas.push_back({i, static_cast<std::size_t>(i) % hosts,
                        static_cast<std::uint16_t>(spec.port + slot), first_gpu(spec, slot)});
  }
  return replicas;
}

std::vector<std::size_t> hosts_of(const DeploymentSpec& spec, std::size_t hosts) {
  const std::size_t replicas = place_replicas(spec, hosts).size();
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < std::min(hosts, replicas); ++i) used.push_back(i);
  return used;
}

Status place(const Fleet& fleet, const DeploymentSpec* before, DeploymentSpec& spec) {
  BUNDLE_TRY(const auto taken, others(fleet, spec.name));
  if (spec.port == 0) spec.port = before != nullptr ? before->port : free_port(taken, fleet.size());
  choose_gpus(taken, before, fleet.size(), spec);
  const GpuRange range = gpu_range(spec, fleet.size());
  if (range.count == 0) return {};
  for (const std::size_t i : hosts_of(spec, fleet.size())) {
    BUNDLE_TRY(const HostGpus gpus, host_gpus(fleet.host(i)));
    BUNDLE_CHECK(check_gpus(gpus, fleet.host(i).name(), range, taken));
  }
  return {};
}

}  // namespace bundle::cloud
