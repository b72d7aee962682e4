#include "cloud/kubernetes/pod.h"

#include <algorithm>
#include <utility>

#include "cloud/kubernetes/object.h"
#include "cloud/server_options.h"
#include "cloud/status.h"

namespace bundle::cloud {
namespace {

/// Where a pod answers clients; "" for the further machines of a group, and without an address.
std::string url_of(const DeploymentSpec& spec, const Json& pod) {
  std::string address = text_at(pod, {"status", "podIP"});
  const std::string of_set =
      text_at(pod, {"metadata", "labels", "statefulset.kubernetes.io/pod-name"});
  const bool is_worker = text_at(pod, {"metadata", "labels", "bundle.dev/role"}) == "worker" ||
                         (!of_set.empty() && !of_set.ends_with("-0"));
  if (address.empty() || is_worker) return "";
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  return scheme_of(spec) + "://" + address + ":8000";
}

}  // namespace

bool is_ending(const Json& pod) { return !text_at(pod, {"metadata", "deletionTimestamp"}).empty(); }

ReplicaStatus replica_of(const DeploymentSpec& spec, const Json& pod) {
  ReplicaStatus one;
  one.url = url_of(spec, pod);
  one.name = text_at(pod, {"metadata", "name"});
  one.where = text_at(pod, {"spec", "nodeName"});
  one.state = is_ending(pod) ? kEnding : text_at(pod, {"status", "phase"});
  const Json* status = find(pod, "status");
  const Json* conditions = status == nullptr ? nullptr : find(*status, "conditions");
  if (conditions == nullptr || !conditions->is_array()) return one;
  for (const Json& condition : conditions->get_array()) {
    const std::string type = text_at(condition, {"type"});
    const bool is_true = text_at(condition, {"status"}) == "True";
    if (type == "Ready") one.ready = is_true;
    if (!is_true && one.message.empty()) one.message = text_at(condition, {"message"});
  }
  return one;
}

std::vector<std::string> started_pods(const Json& pods) {
  std::vector<std::string> names;
  for (const Json& pod : items_of(pods)) {
    if (text_at(pod, {"status", "phase"}) == "Pending") continue;
    names.push_back(text_at(pod, {"metadata", "name"}));
  }
  return names;
}

std::string trouble_of(const Json& pods) {
  for (const Json& pod : items_of(pods)) {
    const Json* status = find(pod, "status");
    const Json* containers = status == nullptr ? nullptr : find(*status, "containerStatuses");
    if (is_ending(pod) || containers == nullptr || !containers->is_array()) continue;
    for (const Json& container : containers->get_array()) {
      const std::string reason = text_at(container, {"state", "waiting", "reason"});
      if (reason.empty() || reason == "ContainerCreating") continue;
      return "; " + text_at(pod, {"metadata", "name"}) + ": " + reason;
    }
  }
  return "";
}

std::vector<std::string> warnings_of(const Json& events, const std::string& deployment) {
  std::vector<std::pair<std::string, std::string>> telling, probes;  // when, and the line
  for (const Json& event : items_of(events)) {
    const std::string about = text_at(event, {"involvedObject", "name"});
    if (!about.starts_with(deployment) || text_at(event, {"type"}) == "Normal") continue;
    const std::string reason = text_at(event, {"reason"});
    auto& list = reason == "Unhealthy" ? probes : telling;
    list.emplace_back(text_at(event, {"lastTimestamp"}),
                      about + ": " + reason + ": " + text_at(event, {"message"}));
  }
  auto& chosen = telling.empty() ? probes : telling;
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> lines;
  for (std::size_t at = chosen.size() > 5 ? chosen.size() - 5 : 0; at < chosen.size(); ++at) {
    lines.push_back(chosen[at].second);
  }
  return lines;
}

}  // namespace bundle::cloud
