// One address before many replicas: holds requests while the first replica starts, spreads them by
// load, cached prefix and weight, and tries another replica only when no byte of an answer was
// sent. It keeps no state of its own, so any number may run beside each other.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/gateway/pool.h"

namespace bundle::gateway {

struct GatewayOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  /// Where Envoy's inference extension asks for endpoints (picker/picker.h); 0: any free port.
  std::optional<std::uint16_t> picker_port = {};
  std::size_t picker_endpoints = 1;  // that it names for a request, in the order to try them
  std::vector<Backend> backends = {};
  /// Asked once a second, on a thread of its own, for the replicas there are now; may be empty.
  std::function<std::vector<Backend>()> discover = {};
  /// Called when a request finds no replica at all, at most once in ten seconds; may be empty.
  std::function<void()> wake = {};
  std::size_t connections = 4096;                    // 503 above
  std::size_t held_requests = 256;                   // waiting for a replica; 503 above
  std::chrono::seconds hold{600};                    // how long one waits
  std::chrono::seconds startup{60};                  // of a replica, for Retry-After
  std::chrono::seconds drain{30};                    // after the first signal
  std::chrono::milliseconds comment_interval{5000};  // in a stream that waits
  std::chrono::milliseconds connect_timeout{3000};
};

/// Sockets and thread. Thread-safe.
class Gateway {
 public:
  /// Binds and answers. kUnreachable when the address is taken.
  static Result<std::unique_ptr<Gateway>> start(GatewayOptions options);
  /// Stops at once.
  ~Gateway();

  std::uint16_t port() const;
  /// 0 without a picker.
  std::uint16_t picker_port() const;
  /// Takes no further connection; wait() returns when the running requests are over, or the drain
  /// time is.
  void begin_drain();
  void wait();

 private:
  class Impl;
  explicit Gateway(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bundle::gateway
