#include "cli/display/deployment.h"

#include <algorithm>
#include <fmt/format.h>

#include <boost/json/object.hpp>

#include "cli/display/table.h"

namespace bundle::cli {

namespace {

/// "12.00", or "12.00 to 36.00", USD an hour.
std::string range_text(double least, double most) {
  const std::string from = fmt::format("{:.2f}", least);
  const std::string to = fmt::format("{:.2f}", most);
  return (from == to ? to : from + " to " + to) + " USD";
}

std::string cost_text(const cloud::PlanCost& cost) {
  constexpr double kHoursAMonth = 730;
  const auto& c = cost;
  std::string text =
      "cost: " + range_text(c.least_usd_per_hour, c.most_usd_per_hour) + " an hour, " +
      range_text(c.least_usd_per_hour * kHoursAMonth, c.most_usd_per_hour * kHoursAMonth) +
      " a month";
  if (c.least_before && c.most_before) {
    text += " (now: " + range_text(*c.least_before, *c.most_before) + " an hour)";
  }
  text +=
      fmt::format("\n  {:.2f} USD an hour for a replica ({})\n", c.usd_per_replica_hour, c.origin);
  if (c.spot_usd_per_replica_hour) {
    text += fmt::format("  {:.2f} for one on spot machines\n", *c.spot_usd_per_replica_hour);
  }
  return text;
}

}  // namespace

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
  if (plan.cost) text += cost_text(*plan.cost);
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
