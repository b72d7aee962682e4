// The objects of a deployment on Kubernetes, rendered for what a cluster offers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cloud/deployment_spec.h"
#include "cloud/history.h"
#include "cloud/kubernetes/features.h"

namespace bundle::cloud {

/// One object: its text, and where the API has it.
struct Manifest {
  std::string api_version;
  std::string kind;
  std::string plural;
  std::string space;  // namespace
  std::string name;
  std::string yaml;
};

/// How replicas are replaced.
enum class Rollout { kSurge, kReplace, kRecreate };

/// Everything that decides the objects beside the specification.
struct ManifestOptions {
  ClusterFeatures features;
  Rollout rollout = Rollout::kReplace;
  /// The secret that lets machines into a group; "": the cluster has it already.
  std::string group_token = {};
};

/// The specification as the cluster keeps it: without what lies in the image anyway, and with
/// hashes in the place of keys and secrets. Their values go into `secret_data` by key.
/// kBadInput for names and labels that Kubernetes refuses, and when no image is named.
Result<DeploymentSpec> cluster_form(const DeploymentSpec& spec, JsonObject& secret_data);

/// All objects but the record of revisions, in the order of application. `secret_data` is empty
/// when the Secret of this content is there already.
Result<std::vector<Manifest>> manifests(const DeploymentSpec& spec, const JsonObject& secret_data,
                                        const ManifestOptions& options);

/// The Secret that lets machines into a deployment's groups, without its value: it is made once,
/// and outlives revisions. None for replicas of one machine.
std::optional<Manifest> group_secret(const DeploymentSpec& spec);

/// The ConfigMap that keeps the revisions.
Result<Manifest> history_manifest(const DeploymentSpec& spec, const History& history);

std::string namespace_of(const JsonObject& settings);

/// Replaces one at a time when GPUs are scarce: two generations of a replica do not fit on the
/// GPUs of one. `spare` is how many more replicas would fit now; negative: not known.
Rollout choose_rollout(const DeploymentSpec& spec, std::int64_t spare);
/// Why, for the plan.
std::string rollout_reason(const DeploymentSpec& spec, std::int64_t spare, Rollout rollout);

}  // namespace bundle::cloud
