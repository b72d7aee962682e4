// bundle update and bundle scale: change one thing of a deployment and keep the rest as it is on
// the target. With --canary the change runs beside what is there.
#include <charconv>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/apply.h"
#include "cli/commands.h"
#include "cli/deployment_request.h"
#include "cli/display/deployment.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

struct UpdateArguments {
  std::string name;
  std::string reference;
  std::vector<std::string> settings;
  std::string canary;  // "10%"; "": none
  PlaceArguments place;
  ApplyArguments apply;
};

struct ScaleArguments {
  std::string name;
  int replicas = 1;
  int most = -1;
  PlaceArguments place;
  ApplyArguments apply;
};

Result<int> percent_of(const std::string& text) {
  std::string_view digits = text;
  if (digits.ends_with('%')) digits.remove_suffix(1);
  int percent = -1;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, percent);
  if (error == std::errc() && stop == end && percent >= 0 && percent <= 100) return percent;
  return Error{ErrorCode::kUsage, "'" + replace_invalid_utf8(text) + "' is no part of the requests",
               "--canary", "Write a whole number from 0% to 100%."};
}

/// The canary that is asked for. Without a bundle or settings, the one there is gets another part.
Result<cloud::DeploymentSpec> canary_of(const UpdateArguments& arguments, int percent,
                                        const cloud::Provider& provider) {
  BUNDLE_CHECK(provider.check_canary());
  BUNDLE_TRY(const auto stable, provider.specification(arguments.name, 0));
  BUNDLE_TRY(auto there, cloud::find_canary(provider, arguments.name));
  if (there && arguments.reference.empty() && arguments.settings.empty()) {
    there->canary.percent = percent;
    there->canary.phase.clear();
    return *std::move(there);
  }
  BUNDLE_TRY(const auto changed, with_bundle(stable, arguments.reference, arguments.settings));
  return cloud::canary_spec(changed, percent);
}

Result<Outcome> update_canary(const UpdateArguments& arguments, int percent,
                              const cloud::Place& place, cloud::Provider& provider,
                              const Session& session) {
  BUNDLE_TRY(const auto canary, canary_of(arguments, percent, provider));
  BUNDLE_TRY(const auto plan, cloud::plan_canary(provider, canary));
  if (arguments.apply.plan) return Outcome{cloud::to_json(plan), plan_text(plan)};
  if (plan.changes) BUNDLE_CHECK(confirm(plan, place, arguments.apply));
  BUNDLE_CHECK(remember_place(arguments.name, place));
  BUNDLE_CHECK(remember_place(canary.name, place));
  BUNDLE_TRY(const auto release, cloud::start_canary(provider, canary, session.progress()));
  return release_outcome(release, plan.changes);
}

Result<Outcome> update(const UpdateArguments& arguments, const Session& session) {
  BUNDLE_TRY(const int percent, percent_of(arguments.canary.empty() ? "0" : arguments.canary));
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_CHECK(cloud::refuse_canary_name(*provider, arguments.name));
  if (!arguments.canary.empty())
    return update_canary(arguments, percent, place, *provider, session);
  BUNDLE_TRY(const auto present, provider->specification(arguments.name, 0));
  BUNDLE_TRY(const auto spec, with_bundle(present, arguments.reference, arguments.settings));
  return apply(*provider, place, spec, arguments.apply, session);
}

Result<Outcome> scale(const ScaleArguments& arguments, const Session& session) {
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_TRY(cloud::DeploymentSpec spec, provider->specification(arguments.name, 0));
  spec.scaling.min_replicas = arguments.replicas;
  spec.scaling.max_replicas = std::max({1, arguments.replicas, arguments.most});
  return apply(*provider, place, spec, arguments.apply, session);
}

}  // namespace

void add_update(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<UpdateArguments>();
  CLI::App* command = add_command(
      app, "update", "Move a deployment to another bundle, or to what its tag names now",
      "Everything else of the deployment stays as it is. With --canary the new revision runs "
      "beside\n"
      "the old one and 'bundle gateway --deployment' sends it that part of the requests, until\n"
      "'bundle promote' or 'bundle rollback' ends it.\n\n"
      "Examples:\n"
      "  bundle update prod\n"
      "  bundle update prod smollm2:2 --yes\n"
      "  bundle update prod --set runtime.context_length=8192 --plan\n"
      "  bundle update prod smollm2:2 --canary 10%\n"
      "  bundle update prod --canary 50%");
  command->add_option("DEPLOYMENT", arguments->name, "The deployment")->required();
  command->add_option("REF", arguments->reference, "The bundle (default: the one it has)");
  command->add_option("--set", arguments->settings, "Override a setting of bundle.yaml")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--canary", arguments->canary,
                   "Run it beside the present revision, for this part of the requests")
      ->type_name("PERCENT");
  add_place_options(*command, arguments->place);
  add_apply_options(*command, arguments->apply);
  on_run(command, session, [arguments, &session] { return update(*arguments, session); });
}

void add_scale(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ScaleArguments>();
  CLI::App* command =
      add_command(app, "scale", "Set how many replicas a deployment has",
                  "Examples:\n  bundle scale prod 3\n  bundle scale prod 2 --max 8");
  command->add_option("DEPLOYMENT", arguments->name, "The deployment")->required();
  command->add_option("REPLICAS", arguments->replicas, "How many, or the fewest with --max")
      ->required()
      ->check(CLI::Range(0, 10000));
  command->add_option("--max", arguments->most, "Most replicas, where the target scales by load")
      ->check(CLI::Range(1, 10000));
  add_place_options(*command, arguments->place);
  add_apply_options(*command, arguments->apply);
  on_run(command, session, [arguments, &session] { return scale(*arguments, session); });
}

}  // namespace bundle::cli
