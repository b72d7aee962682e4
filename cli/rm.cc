// bundle rm and bundle gc: forgetting bundles and freeing their disk space.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cloud/provider.h"
#include "packager/sources/fetch.h"
#include "packager/store.h"

namespace bundle::cli {
namespace {

Outcome removal(const packager::RemoveReport& report) {
  JsonArray untagged;
  std::string text;
  for (const std::string& name : report.untagged) {
    untagged.emplace_back(name);
    text += "removed " + name + "\n";
  }
  text += "freed " + human_bytes(report.freed_bytes) + " in " + std::to_string(report.freed_blobs) +
          " blobs\n";
  if (!report.blocked.empty()) text += "Nothing was freed: " + report.blocked + "\n";
  if (report.deferred) text += "A build is running: 'bundle gc' frees the rest later.\n";
  Json document = JsonObject{{"untagged", std::move(untagged)},
                             {"freed_blobs", report.freed_blobs},
                             {"freed_bytes", report.freed_bytes},
                             {"deferred", report.deferred},
                             {"blocked", report.blocked}};
  return {std::move(document), std::move(text)};
}

/// The deployments of this machine that run a bundle.
Result<std::string> users_of(const std::string& digest) {
  BUNDLE_TRY(const auto provider, cloud::make_provider({"local", {}}));
  BUNDLE_TRY(const auto deployments, provider->list());
  std::string names;
  for (const cloud::DeploymentStatus& deployment : deployments) {
    if (deployment.digest != digest) continue;
    names += (names.empty() ? "'" : ", '") + deployment.name + "'";
  }
  return names;
}

/// Refuses to take away the last name of a bundle that a deployment needs to start again.
Status check_unused(const packager::Store& store, const std::string& reference) {
  BUNDLE_TRY(const auto found, store.find(reference));
  BUNDLE_TRY(const auto all, store.list());
  const auto names = std::count_if(all.begin(), all.end(), [&](const auto& bundle) {
    return bundle.digest == found.digest && !bundle.tag.empty();
  });
  const bool by_tag = reference.find(found.name) != std::string::npos;
  if (by_tag && names > 1) return {};
  BUNDLE_TRY(const std::string users, users_of(found.digest));
  if (users.empty()) return {};
  return failed("a deployment runs it: " + users, reference,
                "Delete or update the deployment first, or give --force: then it cannot start "
                "again.");
}

Result<Outcome> remove(const std::string& reference, bool force) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  if (!force) BUNDLE_CHECK(check_unused(store, reference));
  BUNDLE_TRY(const auto report, store.remove(reference));
  return removal(report);
}

Result<Outcome> collect() {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(auto report, store.gc());
  report.freed_bytes += packager::sources::clear_fetched(packager::sources::downloads_folder());
  return removal(report);
}

}  // namespace

void add_rm(CLI::App& app, Session& session) {
  auto reference = std::make_shared<std::string>();
  auto force = std::make_shared<bool>(false);
  CLI::App* command = add_command(
      app, "rm", "Remove a bundle from the local store",
      "Blobs that another bundle needs stay. A bundle that a deployment of this machine runs is\n"
      "not removed without --force. By a digest, all of its names are.\n\n"
      "Example:\n  bundle rm smollm2:q4");
  command->add_option("REF", *reference, "The bundle")->required();
  command->add_flag("--force", *force, "Even if a deployment of this machine runs it");
  on_run(command, session, [reference, force] { return remove(*reference, *force); });
}

void add_gc(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "gc", "Free what no bundle in the store needs any more",
                                  "That is, besides blobs, what stopped downloads and uploads keep "
                                  "for the next time,\nand models that 'build --keep-download' "
                                  "kept.\n\nExample:\n  bundle gc");
  on_run(command, session, collect);
}

}  // namespace bundle::cli
