#include "cli/deployment_place.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "cli/deployment_file.h"
#include "cli/kubeconfig.h"

namespace bundle::cli {
namespace {

Path places_folder() { return bundle_home() / "places"; }
Path place_file(const std::string& deployment) { return places_folder() / (deployment + ".json"); }

Json to_json(const cloud::Place& place) {
  return JsonObject{{"target", place.target}, {"settings", place.settings}};
}

Result<cloud::Place> read_place(const Path& path) {
  BUNDLE_TRY(const Json document, read_json_file(path.string(), 1u << 20));
  cloud::Place place;
  BUNDLE_TRY(place.target, get_string(document, "target", path.string()));
  if (const Json* settings = find(document, "settings"); settings && settings->is_object()) {
    place.settings = settings->get_object();
  }
  return place;
}

Result<cloud::Place> place_of_file(const std::string& file) {
  BUNDLE_TRY(const JsonObject document, read_deployment_file(file));
  cloud::Place place;
  BUNDLE_TRY(place.target, get_string_or(document, "target", "local", file));
  const Json* settings = document.if_contains(place.target);
  if (settings != nullptr && settings->is_object()) place.settings = settings->get_object();
  return place;
}

Result<cloud::Place> place_of_hosts(const PlaceArguments& arguments) {
  if (!arguments.target.empty() && arguments.target != "ssh") {
    return Error{ErrorCode::kUsage,
                 "--on names hosts of the target ssh, not of '" + arguments.target + "'"};
  }
  JsonArray hosts;
  for (const std::string& host : arguments.hosts) hosts.emplace_back(host);
  return cloud::Place{"ssh", {{"hosts", std::move(hosts)}}};
}

}  // namespace

void add_place_options(CLI::App& command, PlaceArguments& arguments) {
  command.add_option("--target", arguments.target,
                     "Where it runs, when it was not deployed from here");
  command.add_option("--file", arguments.file, "The deployment.yaml that says where it runs")
      ->check(CLI::ExistingFile);
  command
      .add_option(
          "--on", arguments.hosts,
          "[USER@]HOST[:PORT] of the target ssh, in the order of its deployment; repeatable")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->excludes("--file");
}

Result<cloud::Place> find_place(const std::string& deployment, const PlaceArguments& arguments) {
  if (!arguments.hosts.empty()) return place_of_hosts(arguments);
  if (!arguments.file.empty()) return place_of_file(arguments.file);
  const bool known = cloud::is_valid_deployment_name(deployment) &&
                     std::filesystem::exists(place_file(deployment));
  if (known) {
    BUNDLE_TRY(cloud::Place place, read_place(place_file(deployment)));
    if (arguments.target.empty() || arguments.target == place.target) return place;
  }
  return cloud::Place{arguments.target.empty() ? "local" : arguments.target, {}};
}

Result<std::unique_ptr<cloud::Provider>> find_provider(const std::string& deployment,
                                                       const PlaceArguments& arguments) {
  BUNDLE_TRY(const cloud::Place place, find_place(deployment, arguments));
  return open_provider(place);
}

Result<std::unique_ptr<cloud::Provider>> open_provider(const cloud::Place& place) {
  if (place.target != "kubernetes") return cloud::make_provider(place);
  cloud::Place with_access = place;
  BUNDLE_TRY(const JsonObject access, cluster_access(place.settings));
  if (!access.empty()) with_access.settings["access"] = access;
  return cloud::make_provider(with_access);
}

Status remember_place(const std::string& deployment, const cloud::Place& place) {
  if (place.target == "local") {
    forget_place(deployment);
    return {};
  }
  BUNDLE_CHECK(make_directories(places_folder()));
  return write_file_atomic(place_file(deployment), pretty_json(to_json(place)));
}

void forget_place(const std::string& deployment) {
  std::error_code ignored;
  if (cloud::is_valid_deployment_name(deployment)) {
    std::filesystem::remove(place_file(deployment), ignored);
  }
}

std::vector<cloud::Place> known_places() {
  std::vector<Path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(places_folder(), error)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<cloud::Place> places = {{"local", {}}};
  for (const Path& file : files) {
    auto place = read_place(file);
    if (!place) continue;
    const bool known = std::any_of(places.begin(), places.end(), [&](const cloud::Place& other) {
      return to_json(other) == to_json(*place);
    });
    if (!known) places.push_back(*std::move(place));
  }
  return places;
}

}  // namespace bundle::cli
