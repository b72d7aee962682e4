// bundle logs: what a deployment's server printed.
#include <chrono>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/deployment_place.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

/// Asks now and then whether a deployment is still there.
class Presence {
 public:
  Presence(const cloud::Provider& provider, std::string name)
      : provider_(provider), name_(std::move(name)) {}

  /// What was true when it was asked last, at most kInterval ago.
  bool is_gone() { return Clock::now() < next_ ? gone_ : ask(); }

  /// A target that does not answer has not lost it.
  bool ask() {
    const auto spec = provider_.specification(name_, 0);
    gone_ = !spec && spec.error().code == ErrorCode::kNotFound;
    next_ = Clock::now() + kInterval;
    return gone_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kInterval{3};
  const cloud::Provider& provider_;
  std::string name_;
  Clock::time_point next_ = Clock::now() + kInterval;
  bool gone_ = false;
};

Result<Outcome> follow(const cloud::Provider& provider, const std::string& name,
                       const cloud::LogOptions& options) {
  Presence presence(provider, name);
  BUNDLE_CHECK(provider.logs(name, options, [&presence](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    return std::fflush(stdout) == 0 && !interrupted() && !presence.is_gone();
  }));
  if (interrupted() || !presence.ask()) {
    return Error{ErrorCode::kInterrupted, "stopped following the log"};
  }
  std::fprintf(stderr, "'%s' was deleted; its log ends here\n", name.c_str());
  return Outcome{.document = JsonObject{}, .verbatim = true};
}

Result<Outcome> logs(const std::string& name, const PlaceArguments& place,
                     const cloud::LogOptions& options) {
  BUNDLE_TRY(const auto provider, find_provider(name, place));
  if (options.follow) return follow(*provider, name, options);
  std::string text;
  BUNDLE_CHECK(provider->logs(name, options, [&text](std::string_view piece) {
    text += piece;
    return true;
  }));
  return Outcome{JsonObject{{"log", text}}, text};
}

}  // namespace

void add_logs(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  auto options = std::make_shared<cloud::LogOptions>();
  CLI::App* command =
      add_command(app, "logs", "Print what a deployment's server logged",
                  "Examples:\n  bundle logs prod --lines 20\n  bundle logs prod -f");
  command->add_option("DEPLOYMENT", *name, "The deployment")->required();
  command->add_option("-n,--lines", options->lines, "The last so many lines")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_flag("-f,--follow", options->follow, "Go on with what is added, until Ctrl-C");
  auto place = std::make_shared<PlaceArguments>();
  add_place_options(*command, *place);
  on_run(command, session, [name, place, options] { return logs(*name, *place, *options); });
}

}  // namespace bundle::cli
