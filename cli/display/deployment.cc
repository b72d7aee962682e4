#include "cli/display/deployment.h"

#include "cli/display/table.h"

namespace bundle::cli {

std::string plan_text(const cloud::DeploymentPlan& plan) {
  std::string text =
      "plan for '" + plan.deployment + "', revision " + std::to_string(plan.revision) + ":\n";
  for (const std::string& step : plan.steps) text += "  - " + step + "\n";
  return text;
}

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
  return text;
}

std::string statuses_text(const std::vector<cloud::DeploymentStatus>& statuses) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& status : statuses) {
    rows.push_back({status.name, status.target, status.state, status.url, status.bundle,
                    std::to_string(status.revision),
                    status.pid != 0 ? human_duration(status.uptime_seconds) : "-"});
  }
  return table({"DEPLOYMENT", "TARGET", "STATE", "URL", "BUNDLE", "REVISION", "UPTIME"}, rows);
}

}  // namespace bundle::cli
