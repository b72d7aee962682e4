// bundle diff: what two bundles mean differently.
#include "packager/diff.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace bundle::cli {
namespace {

Result<Outcome> run_diff(const std::string& from, const std::string& to) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto before, store.resolve(from));
  BUNDLE_TRY(const auto after, store.resolve(to));
  BUNDLE_TRY(Json diff, packager::diff_bundles(before, after));
  std::string text = packager::diff_text(diff);
  return Outcome{std::move(diff), std::move(text)};
}

}  // namespace

void add_diff(CLI::App& app, Session& session) {
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  CLI::App* command = add_command(app, "diff", "Show what two bundles mean differently",
                                  "Settings by key, files, tensors by name, type, shape and bytes, "
                                  "and the server.\n\n"
                                  "Example:\n  bundle diff smollm2:v1 smollm2:v2");
  command->add_option("FROM", *from, "A bundle")->required();
  command->add_option("TO", *to, "Another bundle")->required();
  on_run(command, session, [from, to] { return run_diff(*from, *to); });
}

}  // namespace bundle::cli
