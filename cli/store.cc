// bundle du and bundle fsck: the store's disk space and health.
#include "packager/store.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/display/table.h"
#include "packager/disk_usage.h"
#include "packager/fsck.h"
#include "packager/sources/fetch.h"

namespace bundle::cli {
namespace {

Result<Outcome> du() {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(auto usage, packager::disk_usage(packager::StorePaths{store.root()}));
  usage.unfinished += packager::sources::size_of_fetched(packager::sources::downloads_folder());
  std::vector<std::vector<std::string>> rows;
  for (const packager::BundleUsage& bundle : usage.bundles) {
    rows.push_back({bundle.name, human_bytes(bundle.size), human_bytes(bundle.unique)});
  }
  std::string text = table({"BUNDLE", "SIZE", "ONLY THIS ONE"}, rows);
  text += "total " + human_bytes(usage.total);
  if (usage.unreachable > 0) text += ", " + human_bytes(usage.unreachable) + " freed by gc";
  if (usage.unfinished > 0) text += ", unfinished downloads " + human_bytes(usage.unfinished);
  return Outcome{packager::to_json(usage), text + "\n"};
}

Result<Outcome> check(bool repair, const Session& session) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto report,
             packager::fsck(packager::StorePaths{store.root()}, repair, session.progress()));
  std::string text;
  for (const std::string& sentence : report.damaged) text += sentence + "\n";
  for (const std::string& digest : report.removed) text += "removed " + digest + "\n";
  text += "checked " + std::to_string(report.num_blobs) + " blobs, " +
          human_bytes(report.num_bytes) + ": " +
          (report.damaged.empty() ? "all is well"
                                  : std::to_string(report.damaged.size()) + " damaged") +
          "\n";
  Outcome outcome{packager::to_json(report), std::move(text)};
  outcome.exit_code = report.damaged.empty() ? 0 : static_cast<int>(ErrorCode::kBadInput);
  return outcome;
}

}  // namespace

void add_du(CLI::App& app, Session& session) {
  CLI::App* command = add_command(
      app, "du", "Show what each bundle takes on disk",
      "Blobs that bundles share are counted once in the total; the last column is what removing\n"
      "the bundle would free.\n\nExample:\n  bundle du");
  on_run(command, session, du);
}

void add_fsck(CLI::App& app, Session& session) {
  auto repair = std::make_shared<bool>(false);
  CLI::App* command = add_command(
      app, "fsck", "Check every blob and bundle of the store",
      "Exit code 3 when something is damaged. --repair deletes damaged blobs; building, pulling "
      "or\n"
      "importing the bundle again then writes only those.\n\nExample:\n  bundle fsck --repair");
  command->add_flag("--repair", *repair, "Delete blobs that do not have their digest");
  on_run(command, session, [repair, &session] { return check(*repair, session); });
}

}  // namespace bundle::cli
