// bundle rollback: returns a deployment to an earlier revision, or ends its canary.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/apply.h"
#include "cli/commands.h"
#include "cli/deployment_watch.h"
#include "cli/display/deployment.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

struct RollbackArguments {
  std::string name;
  std::int64_t revision = 0;
  bool plan = false;
  PlaceArguments place;
};

Result<Outcome> end_canary(const RollbackArguments& arguments, const cloud::Place& place,
                           cloud::Provider& provider, const Session& session) {
  if (arguments.revision != 0) return cloud::refuse_beside_canary(provider, arguments.name).error();
  if (arguments.plan) {
    BUNDLE_TRY(const auto plan, cloud::plan_end(provider, arguments.name));
    return Outcome{cloud::to_json(plan), plan_text(plan)};
  }
  const cloud::CanaryPace pace{watch_settle(place.target)};
  BUNDLE_TRY(const auto release,
             cloud::end_canary(provider, arguments.name, pace, session.progress()));
  forget_place(cloud::canary_name(arguments.name));
  Outcome outcome = release_outcome(release, true);
  outcome.text.insert(0, "the canary of " + arguments.name + " has ended\n");
  return outcome;
}

/// The number that a rollback goes to: 0 is the one before the present.
Result<std::int64_t> wanted_revision(const cloud::DeploymentStatus& now, std::int64_t asked) {
  if (asked != 0) return asked;
  if (now.revisions.size() >= 2) return now.revisions[now.revisions.size() - 2];
  return not_found("there is no earlier revision", now.name,
                   "'bundle status' lists the revisions.");
}

Result<Outcome> plan_rollback(const RollbackArguments& arguments, const cloud::Provider& provider) {
  BUNDLE_TRY(const auto now, provider.status(arguments.name));
  BUNDLE_TRY(const std::int64_t wanted, wanted_revision(now, arguments.revision));
  BUNDLE_TRY(const auto present, provider.specification(arguments.name, 0));
  BUNDLE_TRY(const auto earlier, provider.specification(arguments.name, wanted));
  cloud::DeploymentPlan plan;
  plan.deployment = arguments.name;
  plan.differences = cloud::differences(present.to_json(), earlier.to_json());
  plan.changes = !plan.differences.empty();
  plan.revision = now.revision + (plan.changes ? 1 : 0);
  const std::string number = std::to_string(wanted);
  plan.steps = {plan.changes ? "apply revision " + number + " again, as revision " +
                                   std::to_string(plan.revision)
                             : "nothing: what runs is as revision " + number + " was"};
  return Outcome{cloud::to_json(plan), plan_text(plan)};
}

Result<Outcome> roll_back(const RollbackArguments& arguments, const Session& session) {
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_CHECK(cloud::refuse_canary_name(*provider, arguments.name));
  BUNDLE_TRY(const auto canary, cloud::find_canary(*provider, arguments.name));
  if (canary) return end_canary(arguments, place, *provider, session);
  if (arguments.plan) return plan_rollback(arguments, *provider);
  BUNDLE_TRY(const auto status,
             provider->rollback(arguments.name, arguments.revision, session.progress()));
  return Outcome{cloud::to_json(status), status_text(status)};
}

}  // namespace

void add_rollback(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<RollbackArguments>();
  CLI::App* command = add_command(
      app, "rollback", "End a deployment's canary, or return it to an earlier revision",
      "While a canary runs, it is drained and ended, and the deployment stays as it is. Else the\n"
      "revision before the present one is applied again.\n\n"
      "Examples:\n  bundle rollback prod\n  bundle rollback prod --to 3 --plan");
  command->add_option("DEPLOYMENT", arguments->name, "The deployment")->required();
  command->add_option("--to", arguments->revision, "Revision number (default: the one before)")
      ->check(CLI::Range(1, 1'000'000'000));
  command->add_flag("--plan", arguments->plan, "Say what would be done, and do nothing");
  add_place_options(*command, arguments->place);
  on_run(command, session, [arguments, &session] { return roll_back(*arguments, session); });
}

}  // namespace bundle::cli
