// bundle promote: makes a canary the deployment beside which it runs.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/apply.h"
#include "cli/commands.h"
#include "cli/deployment_watch.h"
#include "cli/display/deployment.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

struct PromoteArguments {
  std::string name;
  PlaceArguments place;
  ApplyArguments apply;
};

Result<Outcome> promote(const PromoteArguments& arguments, const Session& session) {
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_CHECK(cloud::refuse_canary_name(*provider, arguments.name));
  BUNDLE_TRY(const auto plan, cloud::plan_promotion(*provider, arguments.name));
  if (arguments.apply.plan) return Outcome{cloud::to_json(plan), plan_text(plan)};
  BUNDLE_CHECK(confirm(plan, place, arguments.apply));
  const cloud::CanaryPace pace{watch_settle(place.target)};
  BUNDLE_TRY(const auto release,
             cloud::promote(*provider, arguments.name, pace, session.progress()));
  forget_place(cloud::canary_name(arguments.name));
  return release_outcome(release, true);
}

}  // namespace

void add_promote(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PromoteArguments>();
  CLI::App* command = add_command(
      app, "promote", "Make a deployment's canary the deployment",
      "Every request goes to the canary while the old revision finishes what it has under way and\n"
      "is replaced; then the canary drains and ends. Through 'bundle gateway --deployment' no\n"
      "stream is cut, and the deployment keeps its address. Cut off, the same command goes on.\n\n"
      "Examples:\n"
      "  bundle promote prod --plan\n"
      "  bundle promote prod");
  command->add_option("DEPLOYMENT", arguments->name, "The deployment")->required();
  add_place_options(*command, arguments->place);
  add_apply_options(*command, arguments->apply);
  on_run(command, session, [arguments, &session] { return promote(*arguments, session); });
}

}  // namespace bundle::cli
