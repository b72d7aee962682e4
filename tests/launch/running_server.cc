#include "tests/launch/running_server.h"

#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>

#include "base/process.h"

namespace bundle::launch {

using namespace std::chrono_literals;

std::string server_program() { return BUNDLE_BINARY_DIR "/bin/bundle-server"; }

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000 && !holds(); ++i) std::this_thread::sleep_for(5ms);
  return holds();
}

RunningServer::RunningServer(const std::vector<std::string>& arguments, const Path& folder,
                             std::vector<std::string> command) {
  static std::atomic<int> count = 0;
  log_ = folder / ("server-" + std::to_string(count++) + ".log");
  command.insert(command.end(), arguments.begin(), arguments.end());
  SpawnOptions options;
  options.argv = std::move(command);
  options.output = log_;
  const auto pid = spawn(options);
  EXPECT_TRUE(pid) << pid.error().message();
  if (pid) pid_ = *pid;
}

RunningServer::~RunningServer() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)wait_exit();
}

bool RunningServer::wait_ready() {
  const auto ready = [this] {
    const std::string text = log();
    const auto at = text.find("ready http://");
    const auto end = text.find('\n', at == text.npos ? 0 : at);
    if (at == text.npos || end == text.npos) return false;
    url_ = text.substr(at + 6, end - at - 6);
    return true;
  };
  return eventually([&] { return ready() || !identify_process(pid_); }) && !url_.empty();
}

std::optional<int> RunningServer::wait_exit(std::chrono::milliseconds limit) {
  const auto code = bundle::wait_exit(pid_, limit);
  if (!code || !*code) return std::nullopt;
  pid_ = -1;
  return **code;
}

void RunningServer::signal(int number) const { ::kill(pid_, number); }

pid_t RunningServer::engine() const {
  const std::vector<pid_t> all = engines();
  return all.empty() ? -1 : all.front();
}

std::vector<pid_t> RunningServer::engines() const {
  const std::string process = std::to_string(pid_);
  std::vector<pid_t> all;
  // Children belong to the thread that made them: look through all threads.
  std::error_code ignored;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + process + "/task", ignored)) {
    const auto ids = read_file(task.path() / "children");
    if (!ids) continue;
    std::istringstream words(*ids);
    for (pid_t id = 0; words >> id;) all.push_back(id);
  }
  return all;
}

std::string RunningServer::log() const {
  const auto text = read_file(log_);
  return text ? *text : "";
}

Result<HttpResponse> RunningServer::get(const std::string& path) const {
  return http_request({.url = url(path), .timeout = 20s});
}

Result<HttpResponse> RunningServer::post(const std::string& path, const Json& body) const {
  return http_request({.method = "POST",
                       .url = url(path),
                       .headers = {{"Content-Type", "application/json"}},
                       .body = print_json(body),
                       .timeout = 60s});
}

}  // namespace bundle::launch
