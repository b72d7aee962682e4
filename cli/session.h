// What every subcommand has in common: how to answer, how to show progress, how to be stopped.
#pragma once

#include <functional>
#include <string>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"

namespace CLI {
class App;
}

namespace bundle::cli {

/// What a subcommand found: a document for programs, and the same as text for people.
struct Outcome {
  Json document = nullptr;
  std::string text = {};
  /// The output is `text` itself, in either form: a script, a prompt, a log.
  bool verbatim = false;
  int exit_code = 0;
};

/// One invocation. Options of all subcommands fill it; main() runs `run` and reports.
struct Session {
  bool json = false;
  bool quiet = false;
  std::function<Result<Outcome>()> run;

  /// Shows progress on standard error as the options say, and asks work to stop after Ctrl-C.
  Progress progress() const;
};

/// Creates the subcommand `name`, so that --output and --quiet may follow it.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& details);

/// Makes `work` what the session runs when the command line names `command`.
void on_run(CLI::App* command, Session& session, std::function<Result<Outcome>()> work);

}  // namespace bundle::cli
