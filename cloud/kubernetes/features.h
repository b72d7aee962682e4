// What a cluster offers: which API versions and which extensions. Discovered where there is a
// server, derived from a version where there is none.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace bundle::cloud {

struct ClusterFeatures {
  int minor = 37;  // of Kubernetes 1.x
  std::string hpa_api = "autoscaling/v2";
  std::string pdb_api = "policy/v1";
  bool leader_worker_set = false;
  bool keda = false;
  bool keda_http = false;
  bool pod_monitor = false;
  bool http_route = false;
  bool inference_pool = false;

  bool pre_stop_sleep() const { return minor >= 30; }
  bool image_volumes() const { return minor >= 35; }
  bool scale_to_zero() const { return minor >= 37; }
};

/// "1.33", "v1.33.2", "1.27+". Extensions are taken to be there. kUsage for another text or major.
Result<ClusterFeatures> features_of_version(std::string_view version);

/// From the answers of GET /version and GET /apis.
Result<ClusterFeatures> features_of_server(const Json& version, const Json& groups);

}  // namespace bundle::cloud
