// bundle version.
#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace bundle::cli {

Outcome version_outcome() {
  return {JsonObject{{"version", BUNDLE_VERSION}}, "bundle " BUNDLE_VERSION "\n"};
}

void add_version(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "version", "Print the version", "");
  on_run(command, session, []() -> Result<Outcome> { return version_outcome(); });
}

}  // namespace bundle::cli
