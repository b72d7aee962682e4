// bundle delete: ends a deployment.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/deployment_place.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

Result<Outcome> remove(const std::string& name, const PlaceArguments& place,
                       const Session& session) {
  BUNDLE_TRY(const auto provider, find_provider(name, place));
  BUNDLE_CHECK(cloud::refuse_canary_name(*provider, name));
  // The canary first: cut off here, the command finds the deployment again.
  BUNDLE_TRY(const auto canary, cloud::find_canary(*provider, name));
  if (canary) BUNDLE_CHECK(provider->remove(canary->name, session.progress()));
  BUNDLE_CHECK(provider->remove(name, session.progress()));
  forget_place(name);
  if (canary) forget_place(canary->name);
  return Outcome{JsonObject{{"deleted", name}}, "deleted " + name + "\n"};
}

}  // namespace

void add_delete(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      add_command(app, "delete", "End a deployment and forget it; its bundle stays in the store",
                  "Running requests are finished first, as long as the deployment's drain limit "
                  "allows. A canary\n"
                  "goes with its deployment.\n\n"
                  "Example:\n  bundle delete prod");
  command->add_option("DEPLOYMENT", *name, "The deployment")->required();
  auto place = std::make_shared<PlaceArguments>();
  add_place_options(*command, *place);
  on_run(command, session, [name, place, &session] { return remove(*name, *place, session); });
}

}  // namespace bundle::cli
