#include "cli/display/deployment.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "cli/display/table.h"

namespace bundle::cli {

std::string plan_text(const cloud::DeploymentPlan& plan) {
  std::string text =
      "plan for '" + plan.deployment + "', revision " + std::to_string(plan.revision) + ":\n";
  for (const std::string& step : plan.steps) text += "  - " + step + "\n";
  if (!plan.differences.empty()) text += "changes:\n";
  for (const cloud::Change& change : plan.differences) {
    text += "  " + change.path + ": " + (change.before.empty() ? "(none)" : change.before) +
            " -> " + (change.after.empty() ? "(none)" : change.after) + "\n";
  }
  if (!plan.notes.empty()) text += "why:\n";
  for (const std::string& note : plan.notes) text += "  " + note + "\n";
  return text;
}

namespace {

std::string replicas_text(const std::vector<cloud::ReplicaStatus>& replicas) {
  std::vector<std::vector<std::string>> rows;
  for (const cloud::ReplicaStatus& replica : replicas) {
    rows.push_back({replica.name, replica.where, replica.state, replica.ready ? "yes" : "no",
                    replica.url, replica.message});
  }
  return table({"REPLICA", "WHERE", "STATE", "READY", "URL", "MESSAGE"}, rows);
}

}  // namespace

std::string status_text(const cloud::DeploymentStatus& status) {
  std::string text =
      status.name + " is " + status.state + (status.ready ? " and ready" : "") + "\n";
  const auto line = [&text](const char* key, const std::string& value) {
    if (!value.empty()) text += "  " + std::string(key) + value + "\n";
  };
  line("url       ", status.url);
  line("model     ", status.model);
  line("bundle    ", status.bundle);
  line("digest    ", status.digest);
  line("revision  ", std::to_string(status.revision));
  if (status.pid != 0) line("pid       ", std::to_string(status.pid));
  if (status.pid != 0) line("uptime    ", human_duration(status.uptime_seconds));
  line("message   ", status.message);
  if (status.replicas.size() > 1) text += replicas_text(status.replicas);
  return text;
}

std::string release_text(const cloud::Release& release) {
  std::string text = status_text(release.stable);
  if (!release.canary) return text;
  const auto row = [](const char* revision, const cloud::DeploymentStatus& status) {
    return std::vector<std::string>{revision,      std::to_string(status.weight) + " %",
                                    status.state,  status.ready ? "yes" : "no",
                                    status.bundle, std::to_string(status.revision),
                                    status.url,    status.message};
  };
  text += table({"", "TRAFFIC", "STATE", "READY", "BUNDLE", "REVISION", "URL", "MESSAGE"},
                {row("stable", release.stable), row("canary", *release.canary)});
  const std::string unfinished = release.unfinished();
  return unfinished.empty() ? text : text + unfinished + "\n";
}

Outcome release_outcome(const cloud::Release& release, bool changed) {
  JsonObject document = cloud::to_json(release).get_object();
  document["changed"] = changed;
  return {std::move(document), (changed ? "" : "nothing to change\n") + release_text(release)};
}

std::string statuses_text(const std::vector<cloud::DeploymentStatus>& statuses) {
  const bool canaries = std::any_of(statuses.begin(), statuses.end(),
                                    [](const auto& status) { return !status.canary_of.empty(); });
  std::vector<std::string> head = {"DEPLOYMENT", "TARGET",   "STATE", "URL",
                                   "BUNDLE",     "REVISION", "UPTIME"};
  if (canaries) head.emplace_back("TRAFFIC");
  std::vector<std::vector<std::string>> rows;
  for (const auto& status : statuses) {
    rows.push_back({status.name, status.target, status.state, status.url, status.bundle,
                    std::to_string(status.revision),
                    status.pid != 0 ? human_duration(status.uptime_seconds) : "-"});
    if (canaries) rows.back().push_back(std::to_string(status.weight) + " %");
  }
  return table(head, rows);
}

}  // namespace bundle::cli
