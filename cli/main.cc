// bundle: parses the command line, runs one subcommand, reports, exits.
#include <cstdio>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/display/report.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

constexpr const char* kOverview =
    "Packs a large language model into one self-contained artifact, and runs it.\n";

constexpr const char* kFirstSteps =
    "First steps:\n"
    "  bundle build ./my-model            a folder with bundle.yaml, a Hugging Face folder, or a "
    ".gguf\n"
    "  bundle serve my-model              serve it here, in the foreground\n"
    "  bundle deploy my-model --name prod --target local\n"
    "  bundle chat prod\n"
    "\n"
    "BUNDLE_HOME is where bundles and deployments are kept (default ~/.local/share/bundle).\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input, 4 not found, 5 unreachable,\n"
    "130 interrupted.";

void add_commands(CLI::App& app, Session& session) {
  for (const auto add :
       {add_init,  add_build,    add_list,       add_inspect, add_diff,   add_du,       add_rm,
        add_gc,    add_fsck,     add_upgrade,    add_keygen,  add_sign,   add_verify,   add_push,
        add_pull,  add_mirror,   add_export,     add_import,  add_serve,  add_deploy,   add_status,
        add_logs,  add_rollback, add_delete,     add_chat,    add_prompt, add_tokenize, add_bench,
        add_key,   add_doctor,   add_completion, add_version, add_size,   add_catalog,  add_update,
        add_scale, add_gateway,  add_simulate,   add_promote}) {
    add(app, session);
  }
}

void add_common_options(CLI::App& app, Session& session) {
  app.add_option_function<std::string>(
         "--output", [&session](const std::string& form) { session.json = form == "json"; },
         "text for people, or json: one document on standard output")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("text|json");
  app.add_flag("-q,--quiet", session.quiet, "No progress on standard error");
}

/// The subcommand or option that a misspelt word most likely means.
std::string suggestion(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  for (const std::string& word : words) {
    if (!word.empty() && word.front() == '-') continue;
    const bool known = std::find(names.begin(), names.end(), word) != names.end();
    const std::string near = known ? "" : nearest(word, names);
    return near.empty() ? "" : "Did you mean 'bundle " + near + "'?";
  }
  return "";
}

/// The first word, when it should be a command and is none.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words) {
  if (words.empty() || words.front().starts_with('-') || words.front().empty()) return "";
  const auto commands = app.get_subcommands({});
  const bool known = std::any_of(commands.begin(), commands.end(), [&](const CLI::App* command) {
    return command->get_name() == words.front();
  });
  return known ? "" : words.front();
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error,
                  const std::vector<std::string>& words) {
  std::string remedy = suggestion(app, words);
  if (const std::string unknown = unknown_command(app, words); !unknown.empty()) {
    if (remedy.empty()) remedy = "See 'bundle --help'.";
    return {ErrorCode::kUsage, "there is no command '" + unknown + "'", "", remedy};
  }
  if (remedy.empty()) {
    const auto chosen = app.get_subcommands();
    remedy = "See 'bundle " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help'.";
  }
  return {ErrorCode::kUsage, error.what(), "", remedy};
}

/// --output json may be asked for on a command line that does not parse.
bool wants_json(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--output=json") return true;
    if (words[i] == "--output" && i + 1 < words.size() && words[i + 1] == "json") return true;
  }
  return false;
}

/// --help and --version for programs.
Outcome answer_of(const CLI::App& app, const CLI::Success& asked) {
  std::ostringstream text;
  app.exit(asked, text, text);
  if (dynamic_cast<const CLI::CallForVersion*>(&asked) != nullptr) return version_outcome();
  return {JsonObject{{"help", text.str()}}, text.str()};
}

int run(int argc, char** argv) {
  Session session;
  CLI::App app(kOverview, "bundle");
  app.footer(kFirstSteps);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of every command");
  app.set_version_flag("--version", "bundle " BUNDLE_VERSION);
  add_common_options(app, session);
  add_commands(app, session);
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs(app.help().c_str(), stderr);
    return static_cast<int>(ErrorCode::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return wants_json(words) ? report(answer_of(app, asked), true) : app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return report(usage_error(app, error, words), wants_json(words));
  }
  const auto outcome = session.run();
  return outcome ? report(*outcome, session.json) : report(outcome.error(), session.json);
}

}  // namespace
}  // namespace bundle::cli

int main(int argc, char** argv) {
  bundle::cli::watch_interrupts();
  return bundle::cli::run(argc, argv);
}
