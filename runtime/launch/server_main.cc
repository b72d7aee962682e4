// bundle-server: serves one model. The same program is the supervisor and, started by it with
// --engine, the engine process.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "runtime/launch/arguments.h"
#include "runtime/launch/engine_main.h"
#include "runtime/launch/rank_main.h"
#include "runtime/launch/self_command.h"
#include "runtime/launch/supervisor.h"

namespace {

using namespace bundle;

/// By this the CLI knows the program that it packs.
[[gnu::used]] constexpr char kMark[] = "bundle-server, launch contract 1";

int report(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message().c_str());
  return static_cast<int>(error.code);
}

/// BUNDLE_LOG names the least level of log lines; anything else leaves it as it is.
void set_log_level_from_environment() {
  const char* const name = std::getenv("BUNDLE_LOG");
  if (name == nullptr) return;
  const std::string_view level = name;
  if (level == "debug") set_log_level(LogLevel::kDebug);
  if (level == "info") set_log_level(LogLevel::kInfo);
  if (level == "warning") set_log_level(LogLevel::kWarning);
  if (level == "error") set_log_level(LogLevel::kError);
}

Status serve(int argc, char** argv) {
  BUNDLE_TRY(const launch::CommandLine line,
             launch::parse_arguments(std::vector<std::string>(argv + 1, argv + argc)));
  if (line.say) {
    std::fputs(line.say->c_str(), stdout);
    return {};
  }
  BUNDLE_TRY(const launch::Command self, launch::self_command(argc));
  return launch::supervise(line.arguments, self);
}

}  // namespace

int main(int argc, char** argv) {
  set_log_level_from_environment();
  const bool engine = argc >= 3 && argc <= 4 && std::string_view(argv[1]) == "--engine";
  if (engine && argc == 3) {
    return launch::run_engine_process(std::atoi(argv[2]), launch::load_engine);
  }
  if (engine && std::atoi(argv[3]) > 0) {
    return launch::run_rank_process(std::atoi(argv[2]), std::atoi(argv[3]));
  }
  if (engine) return launch::run_engine_process(std::atoi(argv[2]), launch::load_first_rank);
  const Status status = serve(argc, argv);
  return status ? 0 : report(status.error());
}
