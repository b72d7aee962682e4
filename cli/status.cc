// bundle status: how deployments are.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/display/deployment.h"
#include "cloud/provider.h"

namespace bundle::cli {
namespace {

Result<Outcome> status_of_all(const cloud::Provider& provider) {
  BUNDLE_TRY(const auto statuses, provider.list());
  JsonArray list;
  for (const auto& status : statuses) list.push_back(cloud::to_json(status));
  std::string text =
      statuses.empty() ? "No deployments. Make one: bundle deploy REF --name NAME --target local\n"
                       : statuses_text(statuses);
  return Outcome{JsonObject{{"deployments", std::move(list)}}, std::move(text)};
}

Result<Outcome> status(const std::string& name) {
  BUNDLE_TRY(const auto provider, cloud::make_provider("local"));
  if (name.empty()) return status_of_all(*provider);
  BUNDLE_TRY(const auto one, provider->status(name));
  return Outcome{cloud::to_json(one), status_text(one)};
}

}  // namespace

void add_status(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = add_command(app, "status", "Show a deployment, or all of them",
                                  "Examples:\n  bundle status\n  bundle status prod --output json");
  command->add_option("DEPLOYMENT", *name, "One deployment (default: all)");
  on_run(command, session, [name] { return status(*name); });
}

}  // namespace bundle::cli
