#include "cli/session.h"

#include <memory>

#include <CLI/CLI.hpp>

#include "cli/interrupt.h"
#include "cli/progress_line.h"

namespace bundle::cli {

Progress Session::progress() const {
  if (json || quiet) {
    return [](std::string_view, std::uint64_t, std::uint64_t) { return !interrupted(); };
  }
  auto line = std::make_shared<ProgressLine>();
  return [line](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    line->show(stage, done, total);
    return !interrupted();
  };
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& details) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->footer(details);
  command->fallthrough();
  return command;
}

void on_run(CLI::App* command, Session& session, std::function<Result<Outcome>()> work) {
  command->callback([&session, work = std::move(work)] { session.run = work; });
}

}  // namespace bundle::cli
