// bundle import: bundles out of an archive into the store.
#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/trust_options.h"
#include "packager/transfer/archive.h"

namespace bundle::cli {
namespace {

struct ImportArguments {
  std::string file;
  std::string name;
  std::shared_ptr<packager::signing::TrustOptions> trust;
};

Result<Outcome> run_import(const ImportArguments& arguments, const Session& session) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto trust, packager::signing::Trust::load(*arguments.trust));
  BUNDLE_TRY(const auto imported, packager::import_archive(arguments.file, store, {arguments.name},
                                                           trust, session.progress()));
  JsonArray bundles;
  std::string text;
  for (const packager::ImportedBundle& bundle : imported) {
    bundles.push_back(JsonObject{{"name", bundle.name},
                                 {"tag", bundle.tag},
                                 {"digest", bundle.digest},
                                 {"size", bundle.size},
                                 {"transferred", bundle.transferred}});
    text += "imported " + bundle.name + ':' + bundle.tag + ", " + human_bytes(bundle.size) + ", " +
            human_bytes(bundle.transferred) + " of it new\n" + bundle.digest + "\n";
  }
  return Outcome{JsonObject{{"bundles", std::move(bundles)}}, std::move(text)};
}

}  // namespace

void add_import(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command = add_command(
      app, "import", "Take bundles out of an archive into the store",
      "Every byte is checked against its digest, and a bundle appears only when all of it is\n"
      "there. Blobs that the store has are not read. Of a split archive name the first volume.\n\n"
      "Examples:\n"
      "  bundle import smollm2.tar\n"
      "  bundle import r1.tar.001 --require-signature --key release.pub");
  command->add_option("FILE", arguments->file, "The archive")->required();
  command->add_option("--name", arguments->name, "Name in the store, instead of the archive's")
      ->type_name("NAME[:TAG]");
  arguments->trust = add_trust_options(command);
  on_run(command, session, [arguments, &session] { return run_import(*arguments, session); });
}

}  // namespace bundle::cli
