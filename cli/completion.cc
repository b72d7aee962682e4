// bundle completion: scripts that teach a shell the commands and options. They are made from the
// parser's own tables, so they never lag behind.
#include <memory>
#include <set>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace bundle::cli {
namespace {

/// Words of one command: its long options.
std::string options_of(const CLI::App& command, const CLI::App& top) {
  std::string words;
  for (const CLI::App* app : {&command, &top}) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    }
  }
  if (!words.empty()) words.pop_back();
  return words;
}

std::string command_names(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) names += command->get_name() + " ";
  if (!names.empty()) names.pop_back();
  return names;
}

/// Shell that prints the names of bundles or deployments, for arguments that take them.
constexpr const char* kBundles =
    "bundle list --output json 2>/dev/null | sed -n 's/.*\"name\": \"\\(.*\\)\",*/\\1/p'";
constexpr const char* kDeployments =
    "bundle status --output json 2>/dev/null | sed -n 's/.*\"name\": \"\\(.*\\)\",*/\\1/p'";

bool takes_deployment(const std::string& command) {
  static const std::set<std::string> kCommands = {"status",   "logs",  "delete",
                                                  "rollback", "scale", "update"};
  return kCommands.count(command) == 1;
}

std::string bash_script(const CLI::App& app) {
  std::string script =
      "_bundle() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} cmd=${COMP_WORDS[1]}\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"" +
      command_names(app) +
      "\" -- \"$cur\"))\n"
      "    return\n"
      "  fi\n"
      "  case $cmd in\n";
  for (const CLI::App* command : app.get_subcommands({})) {
    const std::string& name = command->get_name();
    script += "    " + name + ")\n      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"" +
              options_of(*command, app) + "\" -- \"$cur\"))\n" +
              "      else COMPREPLY=($(compgen -f -W \"$(" +
              (takes_deployment(name) ? kDeployments : kBundles) + ")\" -- \"$cur\")); fi ;;\n";
  }
  return script + "  esac\n}\ncomplete -o filenames -F _bundle bundle\n";
}

std::string fish_script(const CLI::App& app) {
  std::string script = "complete -c bundle -f\n";
  for (const CLI::App* command : app.get_subcommands({})) {
    const std::string& name = command->get_name();
    script += "complete -c bundle -n __fish_use_subcommand -a " + name + " -d '" +
              command->get_description() + "'\n";
    const std::string seen = "complete -c bundle -n '__fish_seen_subcommand_from " + name + "' ";
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& word : option->get_lnames()) script += seen + "-l " + word + "\n";
    }
    script += seen + "-F\n" + seen + "-a \"(" + (takes_deployment(name) ? kDeployments : kBundles) +
              ")\"\n";
  }
  return script;
}

/// zsh runs bash's completion functions.
std::string zsh_script(const CLI::App& app) {
  return "#compdef bundle\nautoload -Uz bashcompinit && bashcompinit\n" + bash_script(app);
}

}  // namespace

void add_completion(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      add_command(app, "completion", "Print a shell's completion script",
                  "Examples:\n"
                  "  source <(bundle completion bash)\n"
                  "  bundle completion fish > ~/.config/fish/completions/bundle.fish");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  on_run(command, session, [shell, &app]() -> Result<Outcome> {
    std::string script = *shell == "bash"  ? bash_script(app)
                         : *shell == "zsh" ? zsh_script(app)
                                           : fish_script(app);
    return Outcome{nullptr, std::move(script), true};
  });
}

}  // namespace bundle::cli
