#include "cli/chat_target.h"

#include <csignal>
#include <cstdlib>
#include <unistd.h>
#include <utility>

#include "base/text.h"
#include "cli/deployment_place.h"
#include "cli/server_command.h"

namespace bundle::cli {
namespace {

using std::chrono::milliseconds;

/// The address after the last "ready " that the server printed; "" when it has not yet.
std::string ready_address(const Path& log) {
  const auto text = read_file(log);
  if (!text) return "";
  const std::size_t at = text->rfind("ready http://");
  if (at == std::string::npos) return "";
  const std::size_t end = text->find('\n', at);
  return end == std::string::npos ? "" : text->substr(at + 6, end - at - 6);
}

Result<Path> private_folder() {
  BUNDLE_CHECK(make_directories(bundle_home() / "launch"));
  std::string name = (bundle_home() / "launch" / "chat-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return system_error("cannot make a folder", name);
  return Path(name);
}

Result<std::string> wait_for_address(const Path& log, const ProcessIdentity& server,
                                     const Progress& progress) {
  for (;;) {
    const bool gone = wait_gone(server, milliseconds(10));
    if (std::string url = ready_address(log); !url.empty()) return url;
    if (gone) {
      const auto said = read_file(log);
      return failed("the server ended before it was ready", "",
                    "It printed:\n" + (said ? *said : ""));
    }
    if (!progress("loading the model", 0, 0)) return Error{ErrorCode::kInterrupted, "stopped"};
  }
}

}  // namespace

ChatTarget::~ChatTarget() {
  if (server_) {
    (void)signal_process(*server_, SIGTERM);
    if (!wait_gone(*server_, milliseconds(5000))) (void)signal_process(*server_, SIGKILL);
  }
  std::error_code ignored;
  if (folder_) std::filesystem::remove_all(*folder_, ignored);
}

Result<ChatTarget> ChatTarget::open(const std::string& reference, const Progress& progress) {
  if (reference.rfind("http://", 0) == 0 || reference.rfind("https://", 0) == 0) {
    ChatTarget target;
    target.url_ = reference;
    while (target.url_.ends_with('/')) target.url_.pop_back();
    if (target.url_.ends_with("/v1")) target.url_.resize(target.url_.size() - 3);
    return target;
  }
  BUNDLE_TRY(const auto provider, find_provider(reference, {}));
  const auto deployment = provider->status(reference);
  if (deployment && deployment->ready) {
    ChatTarget target;
    target.url_ = deployment->url;
    return target;
  }
  return start_private(reference, progress);
}

Result<ChatTarget> ChatTarget::start_private(const std::string& reference,
                                             const Progress& progress) {
  BUNDLE_TRY(ServerCommand command, server_command(reference, {}, {}));
  ChatTarget target;
  BUNDLE_TRY(Path folder, private_folder());
  target.folder_ = std::make_unique<Path>(folder);
  BUNDLE_CHECK(write_file_atomic(folder / "launch.json", pretty_json(command.launch.to_json())));
  SpawnOptions options;
  options.argv = command.program;
  for (const std::string& argument :
       {std::string("--launch"), (folder / "launch.json").string(), std::string("--host"),
        std::string("127.0.0.1"), std::string("--port"), std::string("0")}) {
    options.argv.push_back(argument);
  }
  options.output = folder / "server.log";
  options.detached = true;
  BUNDLE_TRY(const pid_t pid, spawn(options));
  target.server_ = identify_process(pid).value_or(ProcessIdentity{pid, 0});
  BUNDLE_TRY(target.url_, wait_for_address(options.output, *target.server_, progress));
  return target;
}

}  // namespace bundle::cli
