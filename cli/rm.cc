// bundle rm and bundle gc: forgetting bundles and freeing their disk space.
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
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

Result<Outcome> remove(const std::string& reference) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto report, store.remove(reference));
  return removal(report);
}

Result<Outcome> collect() {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto report, store.gc());
  return removal(report);
}

}  // namespace

void add_rm(CLI::App& app, Session& session) {
  auto reference = std::make_shared<std::string>();
  CLI::App* command = add_command(
      app, "rm", "Remove a bundle from the local store",
      "Blobs that another bundle needs stay. A running deployment keeps what it has mapped.\n\n"
      "Example:\n  bundle rm smollm2:q4");
  command->add_option("REF", *reference, "The bundle")->required();
  on_run(command, session, [reference] { return remove(*reference); });
}

void add_gc(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "gc", "Free what no bundle in the store needs any more",
                                  "Example:\n  bundle gc");
  on_run(command, session, collect);
}

}  // namespace bundle::cli
