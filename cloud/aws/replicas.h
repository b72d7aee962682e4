// The machines of a stack as they are now: its Auto Scaling group, and what the load balancer
// finds.
#pragma once

#include <string>
#include <vector>

#include "cloud/aws/cloudformation.h"
#include "cloud/provider.h"

namespace bundle::cloud {

struct AwsReplicas {
  std::vector<ReplicaStatus> replicas;
  std::size_t ready = 0;    // the load balancer sends requests to them
  std::size_t desired = 0;  // that the group wants now
  std::string balancer;     // its host name, or ""
  std::string trouble;      // why the group does not get the machines that it wants, or ""
};

/// Of the resources of a stack of ours; what is not made yet is left out.
Result<AwsReplicas> find_replicas(const AwsApi& api, const std::vector<StackResource>& resources);

}  // namespace bundle::cloud
