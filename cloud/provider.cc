#include "cloud/provider.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/text.h"
#include "cloud/aws/aws_provider.h"
#include "cloud/kubernetes/kubernetes_provider.h"
#include "cloud/local/local_provider.h"
#include "cloud/skypilot/skypilot_provider.h"
#include "cloud/slurm/slurm_provider.h"
#include "cloud/systemd/systemd_provider.h"

namespace bundle::cloud {
namespace {

struct Target {
  const char* name;
  std::unique_ptr<Provider> (*make)(const JsonObject& settings);
};

std::unique_ptr<Provider> make_local(const JsonObject&) { return make_local_provider(); }

/// A new target is a folder and a line.
constexpr Target kTargets[] = {
    {"local", make_local},
    {"systemd", make_systemd_provider},
    {"ssh", make_ssh_provider},
    {"slurm", make_slurm_provider},
    {"kubernetes", make_kubernetes_provider},
    {"aws", make_aws_provider},
    {"terraform", make_terraform_provider},
    {"skypilot", make_skypilot_provider},
    {"podman", make_podman_provider},
};

JsonArray strings(const std::vector<std::string>& values) {
  JsonArray array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

/// What stands in for a canary where a target has none of ours.
std::string instead_of_canary(std::string_view target) {
  if (target == "kubernetes") {
    return "Deploy the new revision under another name, and let the HTTPRoute split the traffic: "
           "kubernetes: {gateway: GATEWAY, canary: THAT_NAME, canary_percent: 10}.";
  }
  if (target == "slurm") {
    return "Deploy the new revision under another name, and split the traffic: bundle gateway "
           "--backend OLD=9 --backend NEW=1.";
  }
  return "Let the engine that applies the files split the traffic between two deployments.";
}

}  // namespace

Status Provider::check_canary() const {
  return Error{ErrorCode::kUsage, "the target '" + std::string(name()) + "' has no canaries", "",
               instead_of_canary(name())};
}

Result<std::vector<std::string>> Provider::endpoints(std::string_view deployment) const {
  BUNDLE_TRY(const DeploymentStatus now, status(deployment));
  std::vector<std::string> urls;
  for (const ReplicaStatus& replica : now.replicas) {
    if (!replica.url.empty()) urls.push_back(replica.url);
  }
  if (urls.empty() && !now.url.empty()) urls.push_back(now.url);
  return urls;
}

Result<DeploymentStatus> Provider::restart(std::string_view, const Progress&) {
  return Error{ErrorCode::kUsage,
               "the target '" + std::string(name()) + "' cannot restart a revision as it is", "",
               "Roll it by the target's own means."};
}

Json to_json(const PlanCost& cost) {
  const auto known = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  };
  return JsonObject{{"usd_per_replica_hour", cost.usd_per_replica_hour},
                    {"spot_usd_per_replica_hour", known(cost.spot_usd_per_replica_hour)},
                    {"origin", cost.origin},
                    {"usd_per_hour", JsonObject{{"least", cost.least_usd_per_hour},
                                                {"most", cost.most_usd_per_hour}}},
                    {"before", JsonObject{{"least", known(cost.least_before)},
                                          {"most", known(cost.most_before)}}}};
}

Json to_json(const DeploymentPlan& plan) {
  JsonArray changes;
  for (const Change& change : plan.differences) {
    changes.push_back(
        JsonObject{{"path", change.path}, {"before", change.before}, {"after", change.after}});
  }
  return JsonObject{{"deployment", plan.deployment},
                    {"revision", plan.revision},
                    {"changes", plan.changes},
                    {"steps", strings(plan.steps)},
                    {"differences", std::move(changes)},
                    {"notes", strings(plan.notes)},
                    {"cost", plan.cost ? to_json(*plan.cost) : Json(nullptr)}};
}

Json to_json(const DeploymentStatus& status) {
  JsonArray revisions;
  for (const std::int64_t revision : status.revisions) revisions.emplace_back(revision);
  JsonArray replicas;
  for (const ReplicaStatus& replica : status.replicas) {
    replicas.push_back(JsonObject{{"id", replica.name},
                                  {"where", replica.where},
                                  {"state", replica.state},
                                  {"ready", replica.ready},
                                  {"url", replica.url},
                                  {"message", replica.message}});
  }
  JsonObject document{{"name", status.name},         {"target", status.target},
                      {"state", status.state},       {"ready", status.ready},
                      {"url", status.url},           {"bundle", status.bundle},
                      {"digest", status.digest},     {"model", status.model},
                      {"revision", status.revision}, {"revisions", std::move(revisions)},
                      {"pid", status.pid},           {"uptime_seconds", status.uptime_seconds},
                      {"message", status.message},   {"replicas", std::move(replicas)},
                      {"weight", status.weight}};
  if (!status.canary_of.empty()) document["canary_of"] = status.canary_of;
  return document;
}

Result<std::unique_ptr<Provider>> make_provider(const Place& place) {
  for (const Target& known : kTargets) {
    if (known.name == place.target) return known.make(place.settings);
  }
  std::string all;
  for (const std::string& name : target_names()) all += (all.empty() ? "" : ", ") + name;
  const std::string near = nearest(place.target, target_names());
  return Error{ErrorCode::kUsage, "there is no target '" + place.target + "'", "",
               (near.empty() ? "" : "Did you mean '" + near + "'? ") + "Targets: " + all + "."};
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const Target& target : kTargets) names.emplace_back(target.name);
  return names;
}

}  // namespace bundle::cloud
