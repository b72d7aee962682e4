// bundle update and bundle scale: change one thing of a deployment and keep the rest as it is on
// the target.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/apply.h"
#include "cli/commands.h"
#include "cli/deployment_request.h"

namespace bundle::cli {
namespace {

struct UpdateArguments {
  std::string name;
  std::string reference;
  std::vector<std::string> settings;
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

Result<Outcome> update(const UpdateArguments& arguments, const Session& session) {
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
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
      "Everything else of the deployment stays as it is.\n\n"
      "Examples:\n"
      "  bundle update prod\n"
      "  bundle update prod smollm2:2 --yes\n"
      "  bundle update prod --set runtime.context_length=8192 --plan");
  command->add_option("DEPLOYMENT", arguments->name, "The deployment")->required();
  command->add_option("REF", arguments->reference, "The bundle (default: the one it has)");
  command->add_option("--set", arguments->settings, "Override a setting of bundle.yaml")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
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
