// What systemd tells a service, and wants to hear from it: sockets that are open already,
// readiness, reloads, the end, and a heartbeat. Without systemd all of it does nothing.
// (sd_notify(3), sd_listen_fds(3); the protocol is stable and needs no library.)
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace bundle::launch {

/// Reads the environment once. Thread-safe.
class ServiceManager {
 public:
  ServiceManager();

  /// A listening socket that was passed under this name (FileDescriptorName=); for "http" also the
  /// first one of any name that is not "admin". None: the server listens itself.
  std::optional<int> socket(std::string_view name) const;

  void ready(const std::string& status) const;
  void status(const std::string& status) const;
  void reloading() const;
  void stopping() const;
  void heartbeat() const;
  /// How often a heartbeat is due: half of what systemd waits for. None: it does not wait.
  std::optional<std::chrono::milliseconds> heartbeat_interval() const { return interval_; }

 private:
  void send(const std::string& message) const;

  std::string address_;  // of the datagram socket; "": nobody listens
  std::string names_;    // of the sockets passed, separated by colons
  int sockets_ = 0;      // passed, from descriptor 3 on
  std::optional<std::chrono::milliseconds> interval_;
};

}  // namespace bundle::launch
