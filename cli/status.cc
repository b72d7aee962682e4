// bundle status: how deployments are.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/deployment_place.h"
#include "cli/display/deployment.h"

namespace bundle::cli {
namespace {

bool knows_target(const std::string& target) {
  const std::vector<cloud::Place> places = known_places();
  return std::any_of(places.begin(), places.end(),
                     [&](const cloud::Place& place) { return place.target == target; });
}

/// A target that does not answer is shown and does not hide the others.
std::vector<cloud::DeploymentStatus> statuses_at(const cloud::Place& place) {
  const auto provider = open_provider(place);
  auto statuses = provider ? (*provider)->list()
                           : Result<std::vector<cloud::DeploymentStatus>>(provider.error());
  if (statuses) return *std::move(statuses);
  cloud::DeploymentStatus unknown;
  unknown.name = "-";
  unknown.target = place.target;
  unknown.state = "unreachable";
  unknown.message = statuses.error().message();
  return {unknown};
}

/// Of all known places, or of those of one target.
Result<Outcome> status_of_known(const std::string& target) {
  std::vector<cloud::DeploymentStatus> all;
  for (const cloud::Place& place : known_places()) {
    if (!target.empty() && place.target != target) continue;
    for (cloud::DeploymentStatus& one : statuses_at(place)) all.push_back(std::move(one));
  }
  cloud::weigh(all);
  JsonArray list;
  for (const auto& status : all) list.push_back(cloud::to_json(status));
  std::string text =
      all.empty() ? "No deployments. Make one: bundle deploy REF --name NAME --target local\n"
                  : statuses_text(all);
  return Outcome{JsonObject{{"deployments", std::move(list)}}, std::move(text)};
}

Result<Outcome> status(const std::string& name, const PlaceArguments& place) {
  const bool is_told_where = !place.file.empty() || !place.hosts.empty();
  if (name.empty() && !is_told_where && (place.target.empty() || knows_target(place.target))) {
    return status_of_known(place.target);
  }
  BUNDLE_TRY(const auto provider, find_provider(name, place));
  if (name.empty()) {
    BUNDLE_TRY(auto all, provider->list());
    cloud::weigh(all);
    JsonArray list;
    for (const auto& one : all) list.push_back(cloud::to_json(one));
    return Outcome{JsonObject{{"deployments", std::move(list)}}, statuses_text(all)};
  }
  BUNDLE_TRY(const auto release, cloud::release_of(*provider, name));
  return Outcome{cloud::to_json(release), release_text(release)};
}

}  // namespace

void add_status(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = add_command(app, "status", "Show a deployment, or all of them",
                                  "Examples:\n  bundle status\n  bundle status prod --output json");
  command->add_option("DEPLOYMENT", *name, "One deployment (default: all)");
  auto place = std::make_shared<PlaceArguments>();
  add_place_options(*command, *place);
  on_run(command, session, [name, place] { return status(*name, *place); });
}

}  // namespace bundle::cli
