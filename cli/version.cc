// bundle version.
#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace bundle::cli {

void add_version(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, "version", "Print the version", "");
  on_run(command, session, []() -> Result<Outcome> {
    return Outcome{JsonObject{{"version", BUNDLE_VERSION}}, "bundle " BUNDLE_VERSION "\n"};
  });
}

}  // namespace bundle::cli
