// bundle build: a model on disk becomes a bundle in the store.
#include "packager/build.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"

namespace bundle::cli {
namespace {

struct BuildArguments {
  std::string source = ".";
  std::string name;
  std::string server;
  bool no_runtime = false;
};

std::string build_text(const packager::BuildResult& result) {
  std::string text;
  for (const std::string& warning : result.warnings) text += "warning: " + warning + "\n";
  for (const auto& layer : result.layers) {
    text += "  " + layer.role + "  " + human_bytes(layer.size) +
            (layer.reused ? "  (in the store already)" : "") + "\n";
  }
  text += "built " + result.name + ":" + result.tag + ", " + human_bytes(result.size) + "\n";
  return text + result.digest + "\n";
}

Result<Outcome> build(const BuildArguments& arguments, const Session& session) {
  BUNDLE_TRY(packager::Store store, packager::Store::open());
  packager::BuildOptions options;
  options.name = arguments.name;
  options.server = arguments.server;
  options.with_runtime = !arguments.no_runtime;
  BUNDLE_TRY(const auto result,
             packager::build(arguments.source, store, options, session.progress()));
  return Outcome{packager::to_json(result), build_text(result)};
}

}  // namespace

void add_build(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App* command = add_command(
      app, "build", "Pack a model into a bundle in the local store",
      "SOURCE is a folder with bundle.yaml, a Hugging Face model folder, or a .gguf file. The\n"
      "model is checked whole before anything is written. The last line is the bundle's digest;\n"
      "the same input gives the same digest everywhere.\n\n"
      "Examples:\n"
      "  bundle build examples/smollm2\n"
      "  bundle build ./SmolLM2.Q4_1.gguf --name smollm2:q4");
  command->add_option("SOURCE", arguments->source, "What to pack (default: this folder)");
  command->add_option("--name", arguments->name, "Name in the store, instead of bundle.yaml's")
      ->type_name("NAME[:TAG]");
  command->add_option("--server", arguments->server, "Runtime to pack, instead of this program's")
      ->type_name("FILE");
  command->add_flag("--no-runtime", arguments->no_runtime, "Pack weights and configuration alone");
  on_run(command, session, [arguments, &session] { return build(*arguments, session); });
}

}  // namespace bundle::cli
