// bundle-server as a process of its own, over a tiny checkpoint, for tests of the whole program.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/file.h"
#include "base/http_client.h"
#include "base/json.h"

namespace bundle::launch {

/// Path of the program under test.
std::string server_program();

class RunningServer {
 public:
  /// Starts the program with these arguments; `command` comes before them (a loader, say).
  RunningServer(const std::vector<std::string>& arguments, const Path& folder,
                std::vector<std::string> command = {server_program()});
  /// Kills it if it still runs.
  ~RunningServer();
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  /// Waits for its "ready" line; false when it ends before.
  bool wait_ready();
  /// Its exit code, none when it does not end in time.
  std::optional<int> wait_exit(std::chrono::milliseconds limit = std::chrono::seconds(20));
  void signal(int number) const;
  /// Process id of its engine, -1 while there is none.
  pid_t engine() const;
  /// Of all engine processes, by rank.
  std::vector<pid_t> engines() const;
  pid_t pid() const { return pid_; }

  std::string log() const;
  std::string url(const std::string& path) const { return url_ + path; }
  Result<HttpResponse> get(const std::string& path) const;
  Result<HttpResponse> post(const std::string& path, const Json& body) const;

 private:
  Path log_;
  pid_t pid_ = -1;
  std::string url_;
};

/// True when it comes to hold within ten seconds.
bool eventually(const std::function<bool()>& holds);

}  // namespace bundle::launch
