#include "cloud/kubernetes/features.h"

#include <charconv>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::cloud {
namespace {

Error bad_version(std::string_view version) {
  return {ErrorCode::kUsage, "'" + std::string(version) + "' is no version of Kubernetes", "",
          "Write it as 1.33."};
}

void core_apis(ClusterFeatures& features) {
  features.hpa_api = features.minor >= 23 ? "autoscaling/v2" : "autoscaling/v2beta2";
  features.pdb_api = features.minor >= 21 ? "policy/v1" : "policy/v1beta1";
}

/// Whether "group/version" is among the versions that GET /apis lists.
bool serves(const Json& groups, std::string_view group_version) {
  const Json* list = find(groups, "groups");
  if (list == nullptr || !list->is_array()) return false;
  for (const Json& group : list->get_array()) {
    const Json* versions = find(group, "versions");
    if (versions == nullptr || !versions->is_array()) continue;
    for (const Json& version : versions->get_array()) {
      const Json* name = find(version, "groupVersion");
      if (name != nullptr && name->is_string() && name->get_string() == group_version) return true;
    }
  }
  return false;
}

}  // namespace

Result<ClusterFeatures> features_of_version(std::string_view version) {
  std::string_view rest = version;
  if (rest.starts_with('v')) rest.remove_prefix(1);
  if (!rest.starts_with("1.")) return bad_version(version);
  rest.remove_prefix(2);
  ClusterFeatures features;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), features.minor);
  const std::string_view tail = rest.substr(static_cast<std::size_t>(end - rest.data()));
  const bool clean = tail.empty() || tail[0] == '.' || tail[0] == '+' || tail[0] == '-';
  if (error != std::errc() || !clean || features.minor < 16) return bad_version(version);
  core_apis(features);
  features.leader_worker_set = features.keda = features.keda_http = features.pod_monitor =
      features.http_route = features.inference_pool = true;
  return features;
}

Result<ClusterFeatures> features_of_server(const Json& version, const Json& groups) {
  BUNDLE_TRY(const std::string git_version, get_string(version, "gitVersion", "GET /version"));
  BUNDLE_TRY(ClusterFeatures features, features_of_version(git_version));
  const auto first_of = [&](std::string_view newer, std::string_view older) {
    return std::string(serves(groups, newer) ? newer : older);
  };
  features.hpa_api = first_of("autoscaling/v2", "autoscaling/v2beta2");
  features.pdb_api = first_of("policy/v1", "policy/v1beta1");
  features.leader_worker_set = serves(groups, "leaderworkerset.x-k8s.io/v1");
  features.keda = serves(groups, "keda.sh/v1alpha1");
  features.keda_http = serves(groups, "http.keda.sh/v1beta1");
  features.pod_monitor = serves(groups, "monitoring.coreos.com/v1");
  features.http_route = serves(groups, "gateway.networking.k8s.io/v1");
  features.inference_pool = serves(groups, "inference.networking.k8s.io/v1");
  return features;
}

}  // namespace bundle::cloud
