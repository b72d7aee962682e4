// Which of a host's GPUs a deployment's replicas get, so that no two servers share one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cloud/deployment_spec.h"
#include "cloud/host/host.h"

namespace bundle::cloud {

/// The NVIDIA GPUs of a host, in the order of their places on the bus.
struct HostGpus {
  int count = 0;
  std::vector<int> memory_mib;  // in use, of each; empty where nvidia-smi does not tell
};

/// Asks the driver's files and nvidia-smi. A host without either has none.
Result<HostGpus> host_gpus(const Host& host);

/// What the question's output says; a line that is not understood counts for nothing.
HostGpus parse_host_gpus(std::string_view output);

/// GPUs [first, first + count) of each host that a deployment runs on.
struct GpuRange {
  int first = 0;
  int count = 0;

  int end() const { return first + count; }
};

/// Those that a placed specification takes on each of so many hosts. None where it asks for none,
/// or where its environment has a CUDA_VISIBLE_DEVICES of its own.
GpuRange gpu_range(const DeploymentSpec& spec, std::size_t hosts);

/// Places a specification's GPUs: where it has them already (its own, else `before`'s) if no other
/// deployment has one of those, else at the lowest place that is free.
void choose_gpus(const std::vector<DeploymentSpec>& others, const DeploymentSpec* before,
                 std::size_t hosts, DeploymentSpec& spec);

/// kBadInput, with who has the others, when the host has fewer than the specification takes.
Status check_gpus(const HostGpus& gpus, const std::string& host, const GpuRange& range,
                  const std::vector<DeploymentSpec>& others);

/// The first GPU of a replica that is the host's `slot`-th of its deployment.
int first_gpu(const DeploymentSpec& spec, std::size_t slot);

/// CUDA_VISIBLE_DEVICES and the order that its numbers count in; none where the specification takes
/// no GPUs.
TextPairs gpu_environment(const DeploymentSpec& spec, int first);

}  // namespace bundle::cloud
