// bundle upgrade: a newer server for a bundle whose model stays.
#include "packager/upgrade.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/server_program.h"
#include "packager/attestations.h"

namespace bundle::cli {
namespace {

Result<Outcome> upgrade(const std::string& reference, const std::string& server,
                        const Session& session) {
  BUNDLE_CHECK(check_server_program(server));
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto old, store.resolve(reference));
  BUNDLE_TRY(const auto report, packager::upgrade(store, old, server, session.progress()));
  const std::string name = report.name + ':' + report.tag;
  std::string text = name + " has this server already\n";
  if (report.from != report.to) {
    BUNDLE_TRY(const auto fresh, store.resolve(name));
    const Json source = JsonObject{{"uri", "bundle@" + report.from}};
    BUNDLE_CHECK(packager::attach_attestations(store, fresh, source, BUNDLE_VERSION));
    text = "upgraded " + name + ", " + human_bytes(report.written) + " new\n";
    if (report.was_signed) {
      text += "It was signed: sign it again with 'bundle sign " + name + " --key FILE'.\n";
    }
  }
  return Outcome{JsonObject{{"name", report.name},
                            {"tag", report.tag},
                            {"from", report.from},
                            {"to", report.to},
                            {"written", report.written},
                            {"needs_signature", report.was_signed && report.from != report.to}},
                 text + report.to + "\n"};
}

}  // namespace

void add_upgrade(CLI::App& app, Session& session) {
  auto reference = std::make_shared<std::string>();
  auto server = std::make_shared<std::string>();
  CLI::App* command = add_command(
      app, "upgrade", "Give a bundle the server of this version",
      "The model's blobs stay as they are: only the server's layer and a few documents are new. A\n"
      "signed bundle needs a new signature, since its digest is another.\n\n"
      "Example:\n  bundle upgrade smollm2");
  command->add_option("REF", *reference, "The bundle")->required();
  command->add_option("--server", *server, "Server to pack, instead of this program's")
      ->type_name("FILE");
  on_run(command, session,
         [reference, server, &session] { return upgrade(*reference, *server, session); });
}

}  // namespace bundle::cli
