// A receiver of POSTs on a thread of its own: keeps their bodies, answers 200.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bundle::server {

class HttpSink {
 public:
  HttpSink();
  ~HttpSink();

  std::string url(const std::string& path) const;
  /// Waits until `count` have come, ten seconds at most; all that came.
  std::vector<std::string> wait_for(std::size_t count) const;

 private:
  void loop();
  void take(int connection);

  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> bodies_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace bundle::server
