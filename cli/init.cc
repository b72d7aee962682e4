// bundle init: a commented bundle.yaml to begin with.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "packager/manifest.h"
#include "templates/library.h"

namespace bundle::cli {
namespace {

struct InitArguments {
  std::string model = "generic";
  std::string folder = ".";
  bool force = false;
};

Result<Outcome> init(const InitArguments& arguments) {
  BUNDLE_TRY(const auto chosen, templates::model_template(arguments.model));
  const Path path = Path(arguments.folder) / "bundle.yaml";
  if (!arguments.force && std::filesystem::exists(path)) {
    return failed("the file is there already", path.string(), "--force replaces it.");
  }
  BUNDLE_CHECK(make_directories(arguments.folder));
  BUNDLE_CHECK(write_file_atomic(path, chosen.text));
  return Outcome{
      JsonObject{{"written", path.string()}, {"template", chosen.name}},
      "wrote " + path.string() + "; edit it, then: bundle build " + arguments.folder + "\n"};
}

}  // namespace

void add_init(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<InitArguments>();
  std::string names;
  for (const std::string& name : templates::model_template_names()) names += "  " + name + "\n";
  CLI::App* command = add_command(app, "init", "Write a commented bundle.yaml",
                                  "Templates:\n" + names +
                                      "\nExample:\n"
                                      "  bundle init deepseek-r1-distill-qwen-7b --dir r1\n"
                                      "  bundle init deepseek-ai/DeepSeek-R1");
  command->add_option("TEMPLATE", arguments->model, "Which model")->capture_default_str();
  command->add_option("--dir", arguments->folder, "Where to write it")->capture_default_str();
  command->add_flag("--force", arguments->force, "Replace a bundle.yaml that is there");
  on_run(command, session, [arguments] { return init(*arguments); });
}

}  // namespace bundle::cli
