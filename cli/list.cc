// bundle list: what the store holds.
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "packager/disk_usage.h"
#include "packager/inspect.h"

namespace bundle::cli {
namespace {

/// "135 M", "671 B": parameters in short.
std::string human_count(std::uint64_t n) {
  if (n == 0) return "-";
  char text[32];
  const double count = static_cast<double>(n);
  if (count < 1e9) {
    std::snprintf(text, sizeof text, "%.3g M", count / 1e6);
  } else {
    std::snprintf(text, sizeof text, "%.3g B", count / 1e9);
  }
  return text;
}

std::vector<std::string> row(const packager::BundleSummary& bundle) {
  return {bundle.tag.empty() ? bundle.name + " (untagged)" : bundle.name + ":" + bundle.tag,
          bundle.architecture.empty() ? "-" : bundle.architecture,
          human_count(bundle.parameters),
          human_bytes(bundle.size),
          short_digest(bundle.digest),
          bundle.damage.empty() ? "" : "DAMAGED: " + bundle.damage};
}

/// One digest a line: what 'bundle export --have' reads.
Result<Outcome> list_blobs() {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto usage, packager::disk_usage(packager::StorePaths{store.root()}));
  JsonArray blobs;
  std::string text;
  for (const std::string& digest : usage.blobs) {
    blobs.emplace_back(digest);
    text += digest + "\n";
  }
  return Outcome{JsonObject{{"blobs", std::move(blobs)}}, std::move(text)};
}

Result<Outcome> list() {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto bundles, store.list());
  std::vector<std::vector<std::string>> rows;
  for (const auto& bundle : bundles) rows.push_back(row(bundle));
  std::string text =
      rows.empty() ? "No bundles yet. Make one: bundle build SOURCE\n"
                   : table({"BUNDLE", "ARCHITECTURE", "PARAMETERS", "SIZE", "DIGEST", ""}, rows);
  return Outcome{packager::list_bundles(bundles), std::move(text)};
}

}  // namespace

void add_list(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "list", "List the bundles in the local store",
                                  "Example:\n  bundle list --output json");
  auto blobs = std::make_shared<bool>(false);
  command->add_flag("--blobs", *blobs, "The digests of all blobs, for 'bundle export --have'");
  on_run(command, session, [blobs] { return *blobs ? list_blobs() : list(); });
}

}  // namespace bundle::cli
