#include "cloud/aws/replicas.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/text.h"

namespace bundle::cloud {
namespace {

std::string physical_id(const std::vector<StackResource>& resources, std::string_view name) {
  const auto found = std::ranges::find(resources, name, &StackResource::resource);
  const bool is_there = found != resources.end() && !found->status.starts_with("DELETE_COMPLETE");
  return is_there ? found->physical_id : "";
}

std::string shown(const XmlNode& node, std::string_view name) {
  return show_controls(node.child_text(name));
}

/// The instances that the group has.
Status read_group(const AwsApi& api, const std::string& group, AwsReplicas& found) {
  BUNDLE_TRY(const XmlNode result, api.call(kAutoScaling, "DescribeAutoScalingGroups",
                                            {{"AutoScalingGroupNames.member.1", group}}));
  const auto& groups = result.items("AutoScalingGroups");
  if (groups.empty()) return {};
  const std::string desired = groups.front().child_text("DesiredCapacity");
  std::from_chars(desired.data(), desired.data() + desired.size(), found.desired);
  for (const XmlNode& node : groups.front().items("Instances")) {
    ReplicaStatus one;
    one.name = shown(node, "InstanceId");
    one.where = shown(node, "AvailabilityZone");
    one.state = shown(node, "LifecycleState");
    one.message = shown(node, "InstanceType");
    if (shown(node, "HealthStatus") == "Unhealthy") one.message += ", unhealthy";
    found.replicas.push_back(std::move(one));
  }
  return {};
}

/// What the load balancer says of each.
Status read_health(const AwsApi& api, const std::string& targets, AwsReplicas& found) {
  BUNDLE_TRY(const XmlNode result,
             api.call(kLoadBalancing, "DescribeTargetHealth", {{"TargetGroupArn", targets}}));
  for (const XmlNode& node : result.items("TargetHealthDescriptions")) {
    const XmlNode* target = node.child("Target");
    const XmlNode* health = node.child("TargetHealth");
    if (target == nullptr || health == nullptr) continue;
    const auto replica =
        std::ranges::find(found.replicas, target->child_text("Id"), &ReplicaStatus::name);
    if (replica == found.replicas.end()) continue;
    const std::string state = shown(*health, "State");
    const std::string why = shown(*health, "Description");
    replica->ready = state == "healthy" && replica->state == "InService";
    replica->message += ", " + state + (why.empty() ? "" : ": " + why);
  }
  found.ready =
      static_cast<std::size_t>(std::ranges::count(found.replicas, true, &ReplicaStatus::ready));
  return {};
}

/// The newest activity that has ended, when it failed: no capacity, no quota, no such image.
Status read_trouble(const AwsApi& api, const std::string& group, AwsReplicas& found) {
  if (found.replicas.size() >= found.desired) return {};
  BUNDLE_TRY(const XmlNode result,
             api.call(kAutoScaling, "DescribeScalingActivities",
                      {{"AutoScalingGroupName", group}, {"MaxRecords", "20"}}));
  for (const XmlNode& node : result.items("Activities")) {
    const std::string status = node.child_text("StatusCode");
    if (status == "Successful") return {};
    if (status != "Failed" && status != "Cancelled") continue;
    found.trouble = shown(node, "StatusMessage");
    if (found.trouble.empty()) found.trouble = shown(node, "Description");
    return {};
  }
  return {};
}

Status read_balancer(const AwsApi& api, const std::string& balancer, AwsReplicas& found) {
  BUNDLE_TRY(const XmlNode result, api.call(kLoadBalancing, "DescribeLoadBalancers",
                                            {{"LoadBalancerArns.member.1", balancer}}));
  const auto& all = result.items("LoadBalancers");
  if (!all.empty()) found.balancer = shown(all.front(), "DNSName");
  return {};
}

}  // namespace

Result<AwsReplicas> find_replicas(const AwsApi& api, const std::vector<StackResource>& resources) {
  AwsReplicas found;
  const std::string group = physical_id(resources, "Replicas");
  const std::string targets = physical_id(resources, "Targets");
  const std::string balancer = physical_id(resources, "Balancer");
  if (!group.empty()) BUNDLE_CHECK(read_group(api, group, found));
  if (!targets.empty()) BUNDLE_CHECK(read_health(api, targets, found));
  if (!group.empty()) BUNDLE_CHECK(read_trouble(api, group, found));
  if (!balancer.empty()) BUNDLE_CHECK(read_balancer(api, balancer, found));
  return found;
}

}  // namespace bundle::cloud
