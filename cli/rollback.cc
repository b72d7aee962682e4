// bundle rollback: returns a deployment to an earlier revision.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/deployment_place.h"
#include "cli/display/deployment.h"

namespace bundle::cli {
namespace {

Result<Outcome> roll_back(const std::string& name, std::int64_t revision,
                          const PlaceArguments& place, const Session& session) {
  BUNDLE_TRY(const auto provider, find_provider(name, place));
  BUNDLE_TRY(const auto status, provider->rollback(name, revision, session.progress()));
  return Outcome{cloud::to_json(status), status_text(status)};
}

}  // namespace

void add_rollback(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  auto revision = std::make_shared<std::int64_t>(0);
  auto place = std::make_shared<PlaceArguments>();
  CLI::App* command =
      add_command(app, "rollback", "Return a deployment to an earlier revision",
                  "Examples:\n  bundle rollback prod\n  bundle rollback prod --to 3");
  command->add_option("DEPLOYMENT", *name, "The deployment")->required();
  command->add_option("--to", *revision, "Revision number (default: the one before)");
  add_place_options(*command, *place);
  on_run(command, session, [name, revision, place, &session] {
    return roll_back(*name, *revision, *place, session);
  });
}

}  // namespace bundle::cli
