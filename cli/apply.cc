#include "cli/apply.h"

#include <cstdio>
#include <iostream>
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>

#include "cli/deployment_price.h"
#include "cli/display/deployment.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

/// What a canary is in the way of: it would be promoted over the change.
Status check_canary(const cloud::Provider& provider, const cloud::DeploymentSpec& spec,
                    const cloud::DeploymentPlan& plan) {
  BUNDLE_CHECK(cloud::refuse_canary_name(provider, spec.name));
  if (plan.differences.empty()) return {};
  return cloud::refuse_beside_canary(provider, spec.name);
}

Result<cloud::DeploymentPlan> priced_plan(const cloud::Provider& provider,
                                          const cloud::DeploymentSpec& spec) {
  BUNDLE_TRY(cloud::DeploymentPlan plan, provider.plan(spec));
  BUNDLE_TRY(const catalog::Catalog catalog, catalog::Catalog::open());
  if (plan.differences.empty()) {
    set_cost(plan, spec, nullptr, catalog);
  } else {
    const auto running = provider.specification(spec.name, 0);
    set_cost(plan, spec, running ? &*running : nullptr, catalog);
  }
  return plan;
}

/// Asks on standard error, so that standard output holds the answer alone.
Status ask(const cloud::DeploymentPlan& plan) {
  if (::isatty(STDIN_FILENO) == 0) {
    return Error{ErrorCode::kUsage, "the plan was not confirmed", "",
                 "Say --yes to apply it, or --plan to see it."};
  }
  std::fprintf(stderr, "%sApply this? [y/N] ", plan_text(plan).c_str());
  std::string line;
  std::getline(std::cin, line);
  if (line == "y" || line == "Y" || line == "yes") return {};
  return Error{ErrorCode::kInterrupted, "nothing was changed"};
}

}  // namespace

Status confirm(const cloud::DeploymentPlan& plan, const cloud::Place& place,
               const ApplyArguments& arguments) {
  if (place.target == "local" || arguments.yes) return {};
  return ask(plan);
}

void add_apply_options(CLI::App& command, ApplyArguments& arguments) {
  command.add_flag("--plan", arguments.plan, "Say what would be done and why, and do nothing");
  command.add_flag("--yes", arguments.yes, "Do not ask (the target local never does)");
}

Result<Outcome> apply(cloud::Provider& provider, const cloud::Place& place,
                      const cloud::DeploymentSpec& spec, const ApplyArguments& arguments,
                      const Session& session) {
  BUNDLE_TRY(const auto plan, priced_plan(provider, spec));
  if (arguments.plan) return Outcome{cloud::to_json(plan), plan_text(plan)};
  BUNDLE_CHECK(check_canary(provider, spec, plan));
  if (plan.changes) BUNDLE_CHECK(confirm(plan, place, arguments));
  // Remembered first: an apply that is cut off can be found again.
  BUNDLE_CHECK(remember_place(spec.name, place));
  BUNDLE_TRY(const auto status, provider.apply(spec, session.progress()));
  JsonObject document = cloud::to_json(status).get_object();
  document["changed"] = plan.changes;
  const std::string note = plan.changes ? "" : "nothing to change\n";
  return Outcome{std::move(document), note + status_text(status)};
}

}  // namespace bundle::cli
